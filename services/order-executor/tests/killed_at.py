"""An executor that kills itself at a named step of an order's life.

    killed_at.py STEP SIGNAL_FILE BROKER_FILE [BAR_FILE]

It trades at the tests' own broker, whose records are in a file and outlive it; where the file is
called `paper`, at the paper broker, and dies at the last of the bars.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.order_executor.adapters.ledger import corporate_actions
from streamdesk.order_executor.adapters.paper_broker import PaperBroker
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.factory import OrderExecutor
from tests.resting_broker import RestingBroker, plug

Call = Callable[..., Awaitable[Any]]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(step: str, executor: OrderExecutor, broker: RestingBroker | PaperBroker) -> None:
    """Arrange for SIGKILL right before or right after the call that the step names."""
    when, name = step.split(" ", 1)
    if when == "within":  # its row is written, its effect is not, and nothing is committed
        corporate_actions._note_trip = lambda *_: _die()
        return
    owners: dict[str, tuple[Any, str]] = {
        "the intent": (executor.ledger, "decide"),
        "submit": (broker, "submit"),
        "booking": (executor.ledger, "apply"),
        "the wish to cancel": (executor.cancellations, "want"),
        "cancel": (broker, "cancel"),
        "the split": (executor.corporate_actions, "book"),
        "the fills of a bar": (broker, "on_bar"),
    }
    owner, method = owners[name]
    original: Call = getattr(owner, method)

    async def deadly(*arguments: Any, **more: Any) -> Any:
        if when == "before":
            _die()
        result = await original(*arguments, **more)
        _die()
        return result

    setattr(owner, method, deadly)


async def run(
    step: str, event: SignalGenerated, bar: BarClosed | None, broker: RestingBroker
) -> None:
    """Handle one signal, half of whose order is filled at once; then the bar, if there is one."""
    async with OrderExecutor(Settings()) as executor:
        plug(executor, broker)
        broker.portion = Decimal("0.5")
        await executor.reconciliation.reconcile()
        if bar is None:
            kill_at(step, executor, broker)
        await executor.on_signal("signal-1", event)
        if bar is not None:
            kill_at(step, executor, broker)
            await executor.on_bar(bar)


async def run_on_paper(step: str, event: SignalGenerated, bars: list[BarClosed]) -> None:
    """Handle one signal and the bars after it."""
    async with OrderExecutor(Settings()) as executor:
        await executor.reconciliation.reconcile()
        await executor.on_signal("signal-1", event)
        for bar in bars[:-1]:
            await executor.on_bar(bar)
        kill_at(step, executor, executor.broker)
        await executor.on_bar(bars[-1])


def main(step: str, signal_file: str, broker_file: str, bar_file: str = "") -> None:
    """Run until the step."""
    event = SignalGenerated.model_validate_json(Path(signal_file).read_text())
    if Path(broker_file).name == "paper":
        lines = Path(bar_file).read_text().splitlines()
        bars = [BarClosed.model_validate_json(line) for line in lines]
        asyncio.run(run_on_paper(step, event, bars))
        return
    bar = BarClosed.model_validate_json(Path(bar_file).read_text()) if bar_file else None
    asyncio.run(run(step, event, bar, RestingBroker(Path(broker_file))))


if __name__ == "__main__":
    main(*sys.argv[1:])
