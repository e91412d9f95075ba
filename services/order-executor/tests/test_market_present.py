"""Signals are held against the present of the market that the bars tell."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, text

from streamdesk.bus import Ack, Bus, BusConfig, Message, Outcome
from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.contracts.topics import MARKET_BARS, TRADING_SIGNALS
from streamdesk.order_executor.adapters.ledger import signals
from streamdesk.order_executor.entrypoints.market_bars import AfterItsBar, MarketBars
from streamdesk.order_executor.factory import OrderExecutor, market_bars
from streamdesk.runtime import BadSettingError, Drain
from streamdesk.trading.identity import order_id_of_signal

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]


@pytest.fixture
def databases_of(sqlite_of: Callable[[str], dict[str, str]]) -> Callable[[str], dict[str, str]]:
    """One kind of database: what a decision reads of it is tested on both elsewhere."""
    return sqlite_of


@pytest.fixture
def bus_url() -> str:
    return f"memory://{uuid4()}"


async def decide(executor: OrderExecutor, name: str, signal: SignalGenerated) -> str:
    """The code of the refusal of a signal, or the reference price of its order."""
    await executor.on_signal(name, signal)
    order = await executor.ledger.order(order_id_of_signal(name))
    if order is not None:
        return str(order.intent.reference_price)
    decided = await executor.ledger.database.read(lambda c: signals.decision_about(c, name))
    assert decided is not None
    assert decided.refusal is not None
    return decided.refusal.code


async def test_an_order_is_priced_from_the_newest_bar_and_not_from_the_signal(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    for minute, price in ((1, 100.0), (2, 101.0), (1, 90.0)):
        await executor.on_bar(bar_of(minute=minute, price=price))
    assert await decide(executor, "buy", signal_of(minute=1, price=100.0)) == "101.00"


async def test_an_old_buy_at_an_old_price_is_refused_whether_or_not_the_market_is_held(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    await executor.on_bar(bar_of(minute=150, price=100.0))
    assert await decide(executor, "old", signal_of(minute=50, price=50.0)) == "STALE_SIGNAL"
    assert (await executor.ledger.portfolio()).holdings == {}


async def test_an_older_sell_does_not_close_a_newer_position_after_a_restart_either(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    before = await executor_of()
    await before.on_signal("buy", signal_of(minute=100))
    after = await executor_of()  # it has seen no bar: the ledger alone knows the time
    for name, minute in (("older", 50), ("same", 100)):
        sell = signal_of(side="SELL", minute=minute, strategy=name)
        assert await decide(after, name, sell) == "OUTDATED_BY_POSITION"
    assert (await after.ledger.portfolio()).holdings.keys() == {"AAPL.US"}


async def test_a_buy_older_than_the_sell_that_closed_the_position_is_refused(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("buy", signal_of(minute=100))
    await executor.on_signal("sell", signal_of(side="SELL", minute=150))
    assert await decide(executor, "old", signal_of(minute=149)) == "OUTDATED_BY_POSITION"
    assert await decide(executor, "new", signal_of(minute=151)) == "100.00"


@pytest.mark.parametrize("factor", [10.0, 0.1])
async def test_neither_side_is_executed_far_from_the_mark(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf, factor: float
) -> None:
    executor = await executor_of()
    await executor.on_signal("buy", signal_of())
    await executor.on_bar(bar_of(minute=1, price=100.0))
    await executor.on_bar(bar_of("MSFT.US", minute=1, price=100.0))
    sell = signal_of(side="SELL", minute=1, price=100.0 * factor)
    assert await decide(executor, "sell", sell) == "PRICE_COLLAR"
    buy = signal_of("MSFT.US", minute=1, price=100.0 * factor)
    assert await decide(executor, "other", buy) == "PRICE_COLLAR"


async def test_a_signal_from_the_future_is_refused_with_and_without_bars(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    later = datetime(2999, 1, 1, tzinfo=UTC)
    assert await decide(executor, "first", signal_of(timestamp=later)) == "FUTURE_SIGNAL"
    await executor.on_bar(bar_of(minute=1))
    assert await decide(executor, "second", signal_of(minute=30)) == "FUTURE_SIGNAL"


async def test_a_mark_can_be_required(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of(mark_required=True)
    await executor.on_bar(bar_of("MSFT.US", minute=0))
    assert await decide(executor, "blind", signal_of()) == "NO_MARKET_PRICE"
    assert await decide(executor, "seen", signal_of("MSFT.US")) == "100.00"


async def test_the_newest_bar_behind_an_order_of_a_symbol_is_found_by_an_index(
    executor_of: ExecutorOf,
) -> None:
    executor = await executor_of()

    def plan(connection: Connection) -> str:
        query = (
            "EXPLAIN QUERY PLAN SELECT as_of FROM orders WHERE symbol = 'A.US' "
            "AND filled_quantity > 0 ORDER BY as_of DESC LIMIT 1"
        )
        return " ".join(str(row) for row in connection.execute(text(query)))

    assert "orders_symbol" in await executor.ledger.database.read(plan)


async def test_a_signal_that_contradicts_itself_is_refused_where_a_trader_sees_it(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    await executor.on_bar(bar_of(minute=0, price=100.5))
    contradictions: dict[str, dict[str, Any]] = {
        "stop": {"stop_loss": 120.0},
        "passed": {"take_profit": 100.2},
        "side": {"type": "SELL"},
        "strength": {"score": 35.0, "strength": 1.0},
    }
    for name, contradiction in contradictions.items():
        signal = signal_of(strategy=name, **contradiction)
        assert await decide(executor, name, signal) == "CONTRADICTORY_SIGNAL"
    assert await executor.broker.all_reports() == []


async def test_nothing_is_traded_outside_the_hours_of_its_exchange(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of(sessions=True)
    saturday = datetime(2026, 11, 21, 15, 31, tzinfo=UTC)
    lunch = datetime(2026, 11, 20, 4, 30, tzinfo=UTC)
    assert await decide(executor, "weekend", signal_of(timestamp=saturday)) == "SESSION_CLOSED"
    in_lunch = signal_of("700.HK", price=600.0, timestamp=lunch)
    assert await decide(executor, "lunch", in_lunch) == "SESSION_CLOSED"
    await executor.on_signal("buy", signal_of())
    after_hours = signal_of(side="SELL", timestamp=datetime(2026, 11, 20, 21, 1, tzinfo=UTC))
    assert await decide(executor, "sell", after_hours) == "SESSION_CLOSED"
    assert (await executor.ledger.portfolio()).holdings.keys() == {"AAPL.US"}


async def test_daily_bars_stamped_at_midnight_are_inside_their_session(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of(sessions=True)
    friday = datetime(2018, 12, 14, tzinfo=UTC)
    await executor.on_bar(bar_of("SPX.US", timestamp=friday, interval_seconds=86_400))
    assert await decide(executor, "buy", signal_of("SPX.US", timestamp=friday)) == "100.00"


async def test_a_file_of_special_hours_stands_above_the_calendar(
    executor_of: ExecutorOf, signal_of: SignalOf, tmp_path: Path
) -> None:
    file = tmp_path / "hours.csv"
    file.write_text("date,market,open,close,source\n2026-11-20,US,,,mourning\n")
    executor = await executor_of(sessions=True, session_hours_file=file)
    assert await decide(executor, "buy", signal_of()) == "SESSION_CLOSED"


async def test_a_file_of_special_hours_that_makes_no_sense_names_the_setting(
    executor_of: ExecutorOf, tmp_path: Path
) -> None:
    with pytest.raises(BadSettingError, match="SESSION_HOURS_FILE"):
        await executor_of(sessions=True, session_hours_file=tmp_path / "none.csv")


class Following:
    """A started `MarketBars`, and the signals that came through it."""

    def __init__(self, bus: Bus, executor: OrderExecutor, replay_seconds: float = 300) -> None:
        settings = executor._settings.model_copy(update={"bars_replay_seconds": replay_seconds})
        self.bus = bus
        self.bars: MarketBars = market_bars(settings, bus, executor)
        self.drain = Drain()
        self.handled: list[str] = []
        self.handler = AfterItsBar(self._handle, self.bars)
        self.task = asyncio.create_task(self.bars.follow(self.drain))

    async def _handle(self, message: Message[SignalGenerated]) -> Outcome:
        self.handled.append(message.id)
        return Ack()

    async def take(self, signal: SignalGenerated) -> asyncio.Task[Outcome]:
        """Begin to handle a signal that was just published."""
        entry = await self.bus.publish(TRADING_SIGNALS, signal, event_id="signal-1")
        message = Message(id="signal-1", event=signal, topic="signals", entry_id=entry)
        task = asyncio.ensure_future(self.handler(message))
        for _ in range(20):
            await asyncio.sleep(0)
        return task

    async def stop(self) -> None:
        self.drain.request()
        await self.task


async def test_a_restarted_executor_knows_the_marks_before_it_decides(
    bus_url: str, executor_of: ExecutorOf, bar_of: BarOf
) -> None:
    executor = await executor_of()  # not reconciled: the view does not wait for the books
    async with Bus.connect(BusConfig(url=bus_url)) as bus:
        await bus.publish_many(MARKET_BARS, [bar_of(minute=at, price=100.0 + at) for at in (1, 2)])
        following = Following(bus, executor)
        await following.bars.warm.wait()
        state = executor.view.of("AAPL.US")
        await following.stop()
    assert state is not None
    assert state.mark == 102


async def test_a_signal_that_comes_before_its_bar_waits_for_it(
    bus_url: str, executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    await executor.reconciliation.reconcile()
    async with Bus.connect(BusConfig(url=bus_url)) as bus:
        await bus.publish_many(MARKET_BARS, [bar_of(minute=1)])
        following = Following(bus, executor)
        await following.bars.warm.wait()
        task = await following.take(signal_of(minute=2))
        assert following.handled == []
        await bus.publish_many(MARKET_BARS, [bar_of(minute=2)])
        assert isinstance(await task, Ack)
        assert executor.view.has_reached("AAPL.US", signal_of(minute=2).timestamp)
        await following.stop()


async def test_a_signal_whose_bar_does_not_come_is_decided_once_later_bars_are_seen(
    bus_url: str, executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    await executor.reconciliation.reconcile()
    async with Bus.connect(BusConfig(url=bus_url)) as bus:
        await bus.publish_many(MARKET_BARS, [bar_of(minute=1)])
        following = Following(bus, executor)
        await following.bars.warm.wait()
        task = await following.take(signal_of(minute=600))
        while not task.done():  # bars of another symbol show that its own is not on its way
            await bus.publish_many(MARKET_BARS, [bar_of("MSFT.US", minute=2)])
            await asyncio.sleep(0.001)
        assert following.handled == ["signal-1"]
        await following.stop()


async def test_a_signal_of_a_symbol_without_bars_does_not_wait(
    bus_url: str, executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    await executor.reconciliation.reconcile()
    async with Bus.connect(BusConfig(url=bus_url)) as bus:
        following = Following(bus, executor)
        await following.bars.warm.wait()
        task = await following.take(signal_of())
        assert task.done()
        await following.stop()


async def test_a_drain_ends_the_warm_up_while_the_server_is_unreachable(
    executor_of: ExecutorOf,
) -> None:
    executor = await executor_of()
    async with Bus.connect(BusConfig(url="redis://127.0.0.1:1/0")) as bus:
        following = Following(bus, executor)
        await asyncio.sleep(0)
        await following.stop()
    assert not following.bars.warm.is_set()
