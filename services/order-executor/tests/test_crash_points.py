"""An executor killed at a named step leaves one order at the broker, and books that agree."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from streamdesk.contracts.events import SignalGenerated
from streamdesk.order_executor.adapters.ledger.audit import verify
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.trading.identity import order_id_of_signal
from tests.resting_broker import RestingBroker, plug

SignalOf = Callable[..., SignalGenerated]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
DatabasesOf = Callable[[str], dict[str, str]]
ENTRY = order_id_of_signal("signal-1")
ROOT = Path(__file__).parents[3]
STEPS = [
    f"{when} {what}" for what in ("the intent", "submit", "booking") for when in ("before", "after")
]


def kill_at(step: str, folder: Path, urls: dict[str, str]) -> None:
    script = str(Path(__file__).with_name("killed_at.py"))
    killed = subprocess.run(
        [sys.executable, script, step, str(folder / "signal.json"), str(folder / "broker")],
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
    assert await verify(executor.ledger, broker.reports()) == []
