"""An executor killed at a named step leaves one order at the broker, and books that agree."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.order_executor.adapters.ledger.audit import verify
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.trading.identity import order_id_of_signal, stop_leg_of
from streamdesk.trading.orders import OrderState
from tests.broker_conformance import Records
from tests.resting_broker import RestingBroker, plug

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
DatabasesOf = Callable[[str], dict[str, str]]
ENTRY = order_id_of_signal("signal-1")
START = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
ROOT = Path(__file__).parents[3]
STEPS = [
    f"{when} {what}" for what in ("the intent", "submit", "booking") for when in ("before", "after")
]

CANCEL_STEPS = [
    f"{when} {what}"
    for what in ("the wish to cancel", "cancel", "booking")
    for when in ("before", "after")
]

SPLIT_STEPS = ["before the split", "within the split", "after the split"]


BAR_STEPS = [
    f"{when} {what}" for what in ("the fills of a bar", "booking") for when in ("before", "after")
]


def kill_at(
    step: str, folder: Path, urls: dict[str, str], *bar: str, broker: str = "broker"
) -> None:
    script = str(Path(__file__).with_name("killed_at.py"))
    files = [str(folder / "signal.json"), str(folder / broker), *bar]
    killed = subprocess.run(
        [sys.executable, script, step, *files],
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "LOG_LEVEL": "error"}
        | {name.upper(): url for name, url in urls.items()},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL


@pytest.mark.parametrize("step", STEPS)
async def test_a_kill_at_any_step_of_a_submission_leaves_one_order_and_equal_books(
    step: str,
    tmp_path: Path,
    databases_of: DatabasesOf,
    executor_of: ExecutorOf,
    signal_of: SignalOf,
) -> None:
    event = signal_of(stop_loss=95.0)
    (tmp_path / "signal.json").write_text(event.model_dump_json())
    await asyncio.to_thread(kill_at, step, tmp_path, databases_of("account"))

    executor = await executor_of()
    broker = plug(executor, RestingBroker(tmp_path / "broker"))
    await executor.reconciliation.reconcile()
    await executor.on_signal("signal-1", event)  # the bus delivers it again
    await executor.reconciliation.reconcile()
    assert broker.book.made == {ENTRY: 1}
    assert len(broker.reports()) == 1
    broker.fill(ENTRY)
    await executor.reconciliation.reconcile()
    portfolio = await executor.ledger.portfolio()
    held = {symbol: holding.quantity for symbol, holding in portfolio.holdings.items()}
    assert held == await broker.positions()
    assert portfolio.cash == (await broker.balances())["USD"]
    assert await verify(executor.ledger, Records(broker.reports())) == []


@pytest.mark.parametrize("step", CANCEL_STEPS)
async def test_a_kill_at_any_step_of_a_cancellation_ends_in_one_canceled_order_and_equal_books(
    step: str,
    tmp_path: Path,
    databases_of: DatabasesOf,
    executor_of: ExecutorOf,
    signal_of: SignalOf,
    bar_of: BarOf,
) -> None:
    event, bar = signal_of(stop_loss=95.0), bar_of(minute=1, price=94.0)
    (tmp_path / "signal.json").write_text(event.model_dump_json())
    (tmp_path / "bar.json").write_text(bar.model_dump_json())
    urls = databases_of("account")
    await asyncio.to_thread(kill_at, step, tmp_path, urls, str(tmp_path / "bar.json"))

    executor = await executor_of()
    broker = plug(executor, RestingBroker(tmp_path / "broker"))
    broker.portion = Decimal(1)
    await executor.reconciliation.reconcile()
    await executor.on_bar(bar)  # the bars of the last minutes are read again
    await executor.reconciliation.reconcile()
    assert set(broker.book.made.values()) == {1}
    entry = await executor.ledger.order(ENTRY)
    assert entry is not None
    assert entry.state is OrderState.CANCELED
    assert await broker.positions() == {}  # half was bought, and its stop was crossed
    assert (await executor.ledger.portfolio()).cash == (await broker.balances())["USD"]
    assert await verify(executor.ledger, Records(broker.reports())) == []


@pytest.mark.parametrize("step", SPLIT_STEPS)
async def test_a_kill_at_any_step_of_a_split_leaves_it_booked_once(
    step: str,
    tmp_path: Path,
    databases_of: DatabasesOf,
    executor_of: ExecutorOf,
    signal_of: SignalOf,
    bar_of: BarOf,
) -> None:
    file = tmp_path / "actions.csv"
    file.write_text(
        "symbol,ex_date,kind,ratio,amount,currency,source\nAAPL.US,2026-11-23,SPLIT,10:1,,,issuer\n"
    )
    monday = bar_of(price=10.0).model_copy(update={"timestamp": START + timedelta(days=3)})
    (tmp_path / "signal.json").write_text(signal_of(stop_loss=95.0).model_dump_json())
    (tmp_path / "bar.json").write_text(monday.model_dump_json())
    urls = databases_of("account") | {"corporate_actions_file": str(file)}
    await asyncio.to_thread(kill_at, step, tmp_path, urls, str(tmp_path / "bar.json"))

    executor = await executor_of(corporate_actions_file=file)
    broker = plug(executor, RestingBroker(tmp_path / "broker"))
    await executor.reconciliation.reconcile()
    await executor.on_bar(monday)
    [position] = (await executor.ledger.portfolio()).holdings.values()
    [half] = (await broker.positions()).values()
    assert (position.quantity, position.stop_loss) == (10 * half, Decimal("9.5"))
    assert await verify(executor.ledger, Records(broker.reports())) == []


@pytest.mark.parametrize("step", BAR_STEPS)
@pytest.mark.parametrize("bars", [1, 2], ids=["the entry is filled", "the stop is filled"])
async def test_a_kill_at_any_step_of_a_bar_on_paper_fills_once_and_leaves_equal_books(
    step: str,
    bars: int,
    tmp_path: Path,
    databases_of: DatabasesOf,
    executor_of: ExecutorOf,
    signal_of: SignalOf,
    bar_of: BarOf,
) -> None:
    event = signal_of(stop_loss=95.0, take_profit=110.0)
    market = [bar_of(minute=1, volume=1e6), bar_of(minute=2, price=94.0, volume=1e6)][:bars]
    (tmp_path / "signal.json").write_text(event.model_dump_json())
    (tmp_path / "bars.json").write_text("\n".join(bar.model_dump_json() for bar in market))
    urls = databases_of("account")
    file = str(tmp_path / "bars.json")
    await asyncio.to_thread(kill_at, step, tmp_path, urls, file, broker="paper")

    executor = await executor_of(of=OrderExecutor, paper_volume_share_percent="2.5")
    await executor.reconciliation.reconcile()
    for bar in market:
        await executor.on_bar(bar)  # the bars of the last minutes are read again
    await executor.reconciliation.reconcile()
    reports = await executor.broker.all_reports()
    traded = {report.client_order_id: len(report.trades) for report in reports if report.trades}
    assert traded == ({ENTRY: 1} if bars == 1 else {ENTRY: 1, stop_leg_of(ENTRY): 1})
    portfolio = await executor.ledger.portfolio()
    held = {symbol: holding.quantity for symbol, holding in portfolio.holdings.items()}
    assert held == await executor.broker.positions()
    assert portfolio.cash == (await executor.broker.balances())["USD"]
    assert await executor.verify() == []
