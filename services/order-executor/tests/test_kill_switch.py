import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import select, update

from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.order_executor.adapters.ledger import rows
from streamdesk.order_executor.adapters.ledger.schema import ACCOUNT, OUTBOX, SIGNALS
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.runtime import Drain
from streamdesk.trading.decisions import request_from
from streamdesk.trading.orders import OrderState
from streamdesk.trading.risk import Code
from streamdesk.trading.trading_state import TradingState
from tests.resting_broker import RestingBroker, plug

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
DatabasesOf = Callable[[str], dict[str, str]]

BUYERS = 4
SIGNALS_EACH = 30


async def refusals(executor: OrderExecutor) -> list[str]:
    query = select(SIGNALS.c.refusal_code).order_by(SIGNALS.c.decided_at)
    return await executor.ledger.database.read(lambda c: list(c.execute(query).scalars()))


async def refusals_by_signal(executor: OrderExecutor) -> dict[str, str | None]:
    query = select(SIGNALS.c.signal_id, SIGNALS.c.refusal_code)
    found = await executor.ledger.database.read(lambda c: c.execute(query).all())
    return {row[0]: row[1] for row in found}


async def alerts(executor: OrderExecutor) -> list[dict[str, Any]]:
    query = select(OUTBOX.c.body).where(OUTBOX.c.type == "RiskAlerted").order_by(OUTBOX.c.id)
    bodies = await executor.ledger.database.read(lambda c: list(c.execute(query).scalars()))
    return [json.loads(body) for body in bodies]


@pytest.mark.parametrize(
    ("state", "buy", "sell"),
    [
        (TradingState.REDUCING, Code.TRADING_REDUCING, None),
        (TradingState.HALTED, Code.TRADING_HALTED, Code.TRADING_HALTED),
    ],
)
async def test_while_trading_is_reduced_exits_alone_are_ordered_and_while_halted_nothing(
    executor_of: ExecutorOf,
    signal_of: SignalOf,
    state: TradingState,
    buy: Code,
    sell: Code | None,
) -> None:
    executor = await executor_of()
    await executor.on_signal("signal-1", signal_of("AAPL.US"))
    await executor.kill_switch.stop(state, "odd prices")

    await executor.on_signal("signal-2", signal_of("MSFT.US", minute=1))
    await executor.on_signal("signal-3", signal_of("AAPL.US", "SELL", minute=2, price=101.0))

    assert await refusals(executor) == [None, buy, sell]
    assert (set((await executor.ledger.portfolio()).holdings) == set()) == (sell is None)
    assert await executor.verify() == []


async def test_a_crossed_stop_sells_while_trading_is_reduced(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("signal-1", signal_of("AAPL.US", stop_loss=95.0))
    await executor.kill_switch.stop(TradingState.REDUCING, "")
    await executor.on_bar(bar_of("AAPL.US", minute=1, low=94.0, close=94.5, price=96.0))
    assert (await executor.ledger.portfolio()).holdings == {}


async def test_a_stop_that_is_crossed_while_trading_is_halted_sells_once_exits_are_let_through(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    executor = await executor_of()
    broker = plug(executor, RestingBroker())
    broker.portion = Decimal(1)
    await executor.on_signal("signal-1", signal_of("AAPL.US", stop_loss=95.0))
    await executor.kill_switch.halt("")
    await executor.on_bar(bar_of("AAPL.US", minute=1, low=94.0, close=94.5, price=96.0))
    await executor.on_bar(bar_of("AAPL.US", minute=2, price=99.0))
    assert len(broker.reports()) == 1, "of the entry alone"
    await executor.kill_switch.stop(TradingState.REDUCING, "")
    await executor.protection.leave_crossed()
    assert (await executor.ledger.portfolio()).holdings == {}


@pytest.mark.parametrize(
    ("state", "side", "code"),
    [
        (TradingState.REDUCING, "BUY", Code.TRADING_REDUCING),
        (TradingState.HALTED, "BUY", Code.TRADING_HALTED),
        (TradingState.REDUCING, "SELL", None),
        (TradingState.HALTED, "SELL", Code.TRADING_HALTED),
    ],
)
async def test_an_intent_that_was_not_sent_when_its_state_forbids_it_is_canceled_with_the_code(
    executor_of: ExecutorOf,
    signal_of: SignalOf,
    monkeypatch: pytest.MonkeyPatch,
    state: TradingState,
    side: str,
    code: Code | None,
) -> None:
    executor = await executor_of()
    if side == "SELL":
        await executor.on_signal("signal-1", signal_of("AAPL.US"))
    sent = len(await executor.broker.all_reports())
    decide = executor.ledger.decide

    async def decide_and_stop(*words: Any, **options: Any) -> Any:
        decision = await decide(*words, **options)
        await executor.kill_switch.stop(state, "now")
        return decision

    monkeypatch.setattr(executor.ledger, "decide", decide_and_stop)
    await executor.on_signal("signal-2", signal_of("AAPL.US", side, minute=1))
    assert len(await executor.broker.all_reports()) == sent + (code is None)
    order = await executor.ledger.database.read(lambda c: rows.order_of_signal(c, "signal-2"))
    assert order is not None
    wanted = OrderState.FILLED if code is None else OrderState.CANCELED
    assert (order.state, order.code) == (wanted, code)
    assert (await executor.ledger.portfolio()).live_orders == {}
    assert await executor.verify() == []


async def test_an_intent_of_a_crashed_process_waits_for_the_end_of_the_halt(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    signal = signal_of()
    decision = await executor.ledger.decide(request_from("signal-1", signal, signal.queued_at))
    assert decision.order is not None
    await executor.kill_switch.halt("now")
    await executor.reconciliation.reconcile()
    order = await executor.ledger.order(decision.order.client_order_id)
    assert order is not None
    assert (order.state, await executor.broker.all_reports()) == (OrderState.INTENDED, [])
    await executor.kill_switch.resume()
    await executor.reconciliation.reconcile()
    order = await executor.ledger.order(decision.order.client_order_id)
    assert order is not None
    assert order.state is OrderState.ACCEPTED


async def test_an_intent_that_another_process_is_sending_is_not_canceled(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    signal = signal_of()
    order = (await executor.ledger.decide(request_from("s", signal, signal.queued_at))).order
    assert order is not None
    assert await executor.ledger.begin_sending(order.client_order_id)
    await executor.kill_switch.halt("now")
    kept = await executor.ledger.withdraw(order)
    assert kept is not None, "it is not sent a second time"
    assert kept.state is OrderState.UNKNOWN


async def test_a_canceled_intent_is_not_sent_by_a_reconciliation(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    signal = signal_of()
    order = (await executor.ledger.decide(request_from("s", signal, signal.queued_at))).order
    assert order is not None
    await executor.kill_switch.halt("now")
    await executor.ledger.withdraw(order)
    await executor.kill_switch.resume()
    assert await executor.execution.find_or_submit(order) is None
    assert await executor.broker.all_reports() == []


async def test_a_halt_of_a_release_without_states_lets_exits_through(
    executor_of: ExecutorOf,
) -> None:
    executor = await executor_of()
    await executor.kill_switch.halt("before the update")
    await executor.ledger.database.write(
        lambda c: c.execute(update(ACCOUNT).values(trading_state=None))
    )
    halt = await executor.kill_switch.state()
    assert halt is not None
    assert halt.state is TradingState.REDUCING
    assert (await executor.ledger.portfolio()).trading_state is TradingState.REDUCING


async def test_a_state_follows_another_with_a_reason_of_its_own(executor_of: ExecutorOf) -> None:
    executor = await executor_of()
    await executor.kill_switch.stop(TradingState.REDUCING, "one")
    halt = await executor.kill_switch.halt("two")
    assert (halt.state, halt.reason) == (TradingState.HALTED, "two")
    reduced = await executor.kill_switch.stop(TradingState.REDUCING, "three")
    assert (reduced.state, reduced.reason) == (TradingState.REDUCING, "three")
    await executor.kill_switch.resume()
    assert [event["code"] for event in await alerts(executor)] == [
        "TRADING_REDUCING", "TRADING_HALTED", "TRADING_REDUCING", "TRADING_RESUMED",
    ]  # fmt: skip


async def test_after_resume_buys_are_made_again(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    await executor.kill_switch.halt("lunch")
    ended = await executor.kill_switch.resume()
    await executor.on_signal("signal-1", signal_of())
    assert ended is not None
    assert ended.reason == "lunch"
    assert await executor.kill_switch.state() is None
    assert set((await executor.ledger.portfolio()).holdings) == {"AAPL.US"}


async def test_the_first_halt_stays_and_both_ends_are_announced_once(
    executor_of: ExecutorOf,
) -> None:
    executor = await executor_of()
    first = await executor.kill_switch.halt("odd\n prices")
    second = await executor.kill_switch.halt("again")
    await executor.kill_switch.resume()
    assert await executor.kill_switch.resume() is None
    assert first.reason == "odd prices"
    assert second == first
    assert [(event["code"], event["severity"]) for event in await alerts(executor)] == [
        ("TRADING_HALTED", "critical"),
        ("TRADING_RESUMED", "info"),
    ]


async def test_no_executor_commits_a_buy_after_halt_has_returned(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executors = [
        await executor_of(instance=f"executor-{n}", max_positions_us=999) for n in range(BUYERS)
    ]
    halted = asyncio.Event()

    async def buy(number: int, executor: OrderExecutor) -> int:
        """How many of its buys were begun after the halt, and made."""
        made = 0
        for at in range(SIGNALS_EACH):
            began_after = halted.is_set()
            name = f"signal-{number}-{at}"
            await executor.on_signal(name, signal_of(f"S{number}X{at}.US", minute=at, strength=0))
            code = (await refusals_by_signal(executor))[name]
            made += began_after and code is None
            if number == 0 and at == SIGNALS_EACH // 3:
                await executor.kill_switch.halt("enough")
                halted.set()
        return made

    assert sum(await asyncio.gather(*(buy(*item) for item in enumerate(executors)))) == 0
    codes = await refusals(executors[0])
    assert codes.count(Code.TRADING_HALTED) >= SIGNALS_EACH // 2
    assert await executors[0].verify() == []


async def test_the_halt_is_shown_in_the_metrics(executor_of: ExecutorOf) -> None:
    executor = await executor_of()
    drain = Drain()
    watching = asyncio.create_task(executor.keep_protected(drain))
    try:
        for wanted in (1, 0):
            await (executor.kill_switch.halt("") if wanted else executor.kill_switch.resume())
            async with asyncio.timeout(60):
                while REGISTRY.get_sample_value("trading_halted") != wanted:
                    await asyncio.sleep(0.01)
        await executor.kill_switch.stop(TradingState.REDUCING, "")
        async with asyncio.timeout(60):
            while REGISTRY.get_sample_value("trading_reducing") != 1:
                await asyncio.sleep(0.01)
        assert REGISTRY.get_sample_value("trading_halted") == 0
    finally:
        drain.request()
        await watching


def command(urls: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streamdesk.order_executor", *words],
        env=os.environ | {name.upper(): url for name, url in urls.items()},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_command_halts_tells_and_resumes(sqlite_of: DatabasesOf) -> None:
    urls = sqlite_of("account")
    halted = command(urls, "halt", "--reason", "odd prices")
    assert halted.returncode == 0, halted.stderr
    report = json.loads(command(urls, "status").stdout)
    assert (report["halted"], report["reason"]) == (True, "odd prices")
    reduced = json.loads(command(urls, "reduce", "--reason", "exits").stdout)
    assert (reduced["halted"], reduced["state"]) == (False, "REDUCING")
    assert report["since"] == json.loads(halted.stdout)["since"]
    resumed = json.loads(command(urls, "resume").stdout)
    assert resumed == {"kind": "report", "halted": False, "state": "ACTIVE", "requests": []}


@pytest.mark.parametrize("words", [("halt", "--why", "x"), ("status", "now")])
def test_the_command_refuses_what_it_does_not_know(
    sqlite_of: DatabasesOf, words: tuple[str, ...]
) -> None:
    result = command(sqlite_of("account"), *words)
    assert result.returncode == 2
    assert "usage" in result.stderr


async def test_a_halted_account_is_still_worth_what_it_was(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("signal-1", signal_of())
    before = (await executor.ledger.portfolio()).equity
    await executor.kill_switch.halt("")
    assert (await executor.ledger.portfolio()).equity == before > Decimal(0)
