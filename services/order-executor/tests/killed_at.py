"""An executor that kills itself at a named step of an order's life.

    killed_at.py STEP SIGNAL_FILE BROKER_FILE [BAR_FILE]

It trades at the tests' own broker, whose records are in a file and outlive it.
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
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.factory import OrderExecutor
from tests.resting_broker import RestingBroker, plug

Call = Callable[..., Awaitable[Any]]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(step: str, executor: OrderExecutor, broker: RestingBroker) -> None:
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


def main(step: str, signal_file: str, broker_file: str, bar_file: str = "") -> None:
    """Run until the step."""
    event = SignalGenerated.model_validate_json(Path(signal_file).read_text())
    bar = BarClosed.model_validate_json(Path(bar_file).read_text()) if bar_file else None
    asyncio.run(run(step, event, bar, RestingBroker(Path(broker_file))))


if __name__ == "__main__":
    main(*sys.argv[1:])
