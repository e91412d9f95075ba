import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import Connection, select

from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.order_executor.adapters.ledger.schema import ORDERS, OUTBOX, SIGNALS, TRADE_LOCKS
from streamdesk.order_executor.factory import OrderExecutor

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
SYMBOL = "AAPL.US"


async def column(executor: OrderExecutor, query: Any) -> list[Any]:
    def work(connection: Connection) -> list[Any]:
        return list(connection.execute(query).scalars())

    return await executor.ledger.database.read(work)


async def sells(executor: OrderExecutor) -> list[str]:
    return await column(executor, select(ORDERS.c.origin).where(ORDERS.c.side == "SELL"))


async def ends(executor: OrderExecutor) -> list[str | None]:
    """How each halt ended; None: it has not."""
    query = select(TRADE_LOCKS.c.ended_by).where(TRADE_LOCKS.c.code == "PRICE_JUMP")
    return await column(executor, query.order_by(TRADE_LOCKS.c.id))


async def alerts(executor: OrderExecutor) -> list[str]:
    query = select(OUTBOX.c.type).where(OUTBOX.c.topic == "risk").order_by(OUTBOX.c.id)
    return await column(executor, query)


async def refusal(executor: OrderExecutor, signal_id: str) -> str | None:
    query = select(SIGNALS.c.refusal_code).where(SIGNALS.c.signal_id == signal_id)
    [code] = await column(executor, query)
    return None if code is None else str(code)


@pytest.fixture
def entry(signal_of: SignalOf) -> SignalGenerated:
    return signal_of(price=100.0, stop_loss=95.0, take_profit=110.0)


@pytest.fixture
async def holding(executor_of: ExecutorOf, entry: SignalGenerated, bar_of: BarOf) -> OrderExecutor:
    """An executor that holds the symbol at 100, and has seen a bar at that price."""
    executor = await executor_of()
    await executor.on_bar(bar_of(minute=0))
    await executor.on_signal("signal-1", entry)
    assert (await executor.ledger.portfolio()).holdings.keys() == {SYMBOL}
    return executor


async def test_a_price_that_jumps_executes_no_stop_and_halts_its_symbol(
    holding: OrderExecutor, bar_of: BarOf
) -> None:
    before = (await holding.ledger.portfolio()).equity
    await holding.on_bar(bar_of(minute=1, price=10.0))
    await holding.on_bar(bar_of(minute=2, price=10.0))
    assert await sells(holding) == []
    assert await ends(holding) == [None]
    assert await alerts(holding) == ["EntriesLocked", "RiskAlerted"]
    assert (await holding.ledger.portfolio()).equity == before
    state = holding.view.of(SYMBOL)
    assert state is not None
    assert state.mark == 100
    assert await holding.verify() == []


@pytest.mark.parametrize(
    "bad",
    [
        {"price": 10.0},
        {"price": 1000.0},
        {"price": 100.0, "low": 10.0},
        {"price": 100.0, "high": 1000.0},
        {"price": 100.0, "low": 10.0, "close": 10.0},
    ],
)
async def test_one_bad_print_costs_nothing_and_the_halt_ends_with_the_next_bar(
    holding: OrderExecutor, bar_of: BarOf, bad: dict[str, float]
) -> None:
    await holding.on_bar(bar_of(minute=1, **bad))
    await holding.on_bar(bar_of(minute=2, price=100.0))
    assert await sells(holding) == []
    assert await ends(holding) == ["returned"]
    assert (await alerts(holding))[-1] == "EntriesUnlocked"
    # The desk protects the position again.
    await holding.on_bar(bar_of(minute=3, price=95.0))
    assert await sells(holding) == ["STOP_LOSS"]
    assert await holding.verify() == []


@pytest.mark.parametrize("price", [60.0, 140.0])
async def test_a_price_at_exactly_the_bound_is_acted_upon(
    holding: OrderExecutor, bar_of: BarOf, price: float
) -> None:
    await holding.on_bar(bar_of(minute=1, price=price))
    assert len(await sells(holding)) == 1
    assert await ends(holding) == []


async def test_nothing_is_bought_while_the_symbol_is_halted(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    await executor.on_bar(bar_of(minute=0))
    await executor.on_bar(bar_of(minute=1, price=1000.0))
    await executor.on_signal("at-the-jump", signal_of(minute=1, price=1000.0))
    await executor.on_signal("at-the-mark", signal_of(minute=2, price=100.0))
    assert await refusal(executor, "at-the-jump") == "PRICE_COLLAR"
    assert await refusal(executor, "at-the-mark") == "PRICE_JUMP"
    # Nothing is held, so nobody needs to look at once: the lock says it.
    assert await alerts(executor) == ["EntriesLocked"]
    await executor.on_bar(bar_of(minute=3, price=101.0))
    await executor.on_signal("afterwards", signal_of(minute=3, price=101.0))
    assert await refusal(executor, "afterwards") is None


async def test_a_person_who_lifts_the_lock_believes_the_new_price(
    holding: OrderExecutor, bar_of: BarOf
) -> None:
    await holding.on_bar(bar_of(minute=1, price=50.0))
    await holding.loss_limits.lift()
    holding.guard.forget()
    await holding.on_bar(bar_of(minute=2, price=51.0))
    assert await sells(holding) == ["STOP_LOSS"]
    assert await ends(holding) == ["lifted"]
    assert await holding.verify() == []


async def test_a_halt_survives_a_restart_and_its_bars_are_held_back_when_they_come_again(
    executor_of: ExecutorOf, holding: OrderExecutor, bar_of: BarOf
) -> None:
    await holding.on_bar(bar_of(minute=1, price=10.0))
    restarted = await executor_of()
    await restarted.reconciliation.reconcile()
    for minute in (1, 2):
        await restarted.on_bar(bar_of(minute=minute, price=10.0))
    assert await sells(restarted) == []
    assert await ends(restarted) == [None]
    await restarted.on_bar(bar_of(minute=3, price=100.0))
    assert await ends(restarted) == ["returned"]


async def test_a_bad_print_that_comes_again_after_a_restart_sells_nothing(
    executor_of: ExecutorOf, holding: OrderExecutor, bar_of: BarOf
) -> None:
    bars = [bar_of(minute=1, price=10.0), bar_of(minute=2, price=100.0)]
    for bar in bars:
        await holding.on_bar(bar)
    restarted = await executor_of()
    await restarted.reconciliation.reconcile()
    for bar in bars:
        await restarted.on_bar(bar)
    assert await sells(restarted) == []
    assert await ends(restarted) == ["returned"]


async def test_executors_that_see_the_same_jump_halt_once_whoever_is_ahead(
    executor_of: ExecutorOf, holding: OrderExecutor, bar_of: BarOf
) -> None:
    others = [await executor_of(instance=f"executor-{number}") for number in (2, 3)]
    for other in others:
        await other.reconciliation.reconcile()
        await other.on_bar(bar_of(minute=0))
    await asyncio.gather(*(e.on_bar(bar_of(minute=1, price=10.0)) for e in (holding, others[0])))
    await holding.on_bar(bar_of(minute=2, price=10.0))
    await holding.on_bar(bar_of(minute=3, price=100.0))
    # The last one comes late to all of it.
    for minute, price in ((1, 10.0), (2, 10.0), (3, 100.0)):
        await others[1].on_bar(bar_of(minute=minute, price=price))
    assert await ends(holding) == ["returned"]
    assert await sells(holding) == []
    assert (await alerts(holding)).count("EntriesLocked") == 1


async def test_an_executor_that_knows_no_bar_holds_the_first_against_the_position(
    executor_of: ExecutorOf, holding: OrderExecutor, bar_of: BarOf
) -> None:
    stranger = await executor_of(instance="executor-2")
    await stranger.reconciliation.reconcile()
    await stranger.on_bar(bar_of(minute=1, price=10.0))
    assert await sells(holding) == []
    assert await ends(holding) == [None]


async def test_a_wrong_first_bar_of_a_symbol_halts_it_at_the_second_until_a_person_looks(
    executor_of: ExecutorOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    await executor.on_bar(bar_of(minute=0, price=10.0))
    await executor.on_bar(bar_of(minute=1, price=100.0))
    assert await ends(executor) == [None]
    await executor.loss_limits.lift()
    executor.guard.forget()
    await executor.on_bar(bar_of(minute=2, price=100.0))
    await executor.on_bar(bar_of(minute=3, price=101.0))
    assert await ends(executor) == ["lifted"]
    state = executor.view.of(SYMBOL)
    assert state is not None
    assert state.mark == 101


async def test_without_a_bound_every_price_is_acted_upon(
    executor_of: ExecutorOf, entry: SignalGenerated, bar_of: BarOf
) -> None:
    executor = await executor_of(price_jump_percent=0)
    await executor.on_signal("signal-1", entry)
    await executor.on_bar(bar_of(minute=1, price=10.0))
    assert await sells(executor) == ["STOP_LOSS"]
