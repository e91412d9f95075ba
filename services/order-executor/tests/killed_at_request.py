"""An executor that kills itself at a named step of what a person asks.

    killed_at_request.py STEP SIGNAL_FILE BROKER_FILE CANCEL_ALL|CLOSE_ALL

Half of one entry is filled; for CLOSE_ALL its rest is canceled before.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from streamdesk.contracts.events import SignalGenerated
from streamdesk.order_executor.adapters.ledger.desk_requests import RequestKind
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.factory import OrderExecutor
from tests.resting_broker import RestingBroker, plug

Call = Callable[..., Awaitable[Any]]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(step: str, executor: OrderExecutor, broker: RestingBroker) -> None:
    """Arrange for SIGKILL right before or right after the call that the step names."""
    when, name = step.split(" ", 1)
    owners: dict[str, tuple[Any, str]] = {
        "the wish to cancel": (executor.cancellations, "want"),
        "cancel": (broker, "cancel"),
        "the exit": (executor.ledger, "protect"),
        "submit": (broker, "submit"),
        "booking": (executor.ledger, "apply"),
        "the settling": (executor.requests, "settle"),
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


async def run(step: str, event: SignalGenerated, kind: RequestKind, broker: RestingBroker) -> None:
    """Trade, and carry out the request until the step."""
    async with OrderExecutor(Settings(sessions=False)) as executor:
        plug(executor, broker)
        broker.portion = Decimal("0.5")
        await executor.on_signal("signal-1", event)
        broker.portion = Decimal(1)
        request = await executor.requests.make(kind, "enough")
        assert request is not None
        if kind is RequestKind.CLOSE_ALL:
            await executor.requested.carry_out()  # cancels the rest of the entry
        kill_at(step, executor, broker)
        await executor.requested.carry_out()


def main(step: str, signal_file: str, broker_file: str, kind: str) -> None:
    """Run until the step."""
    event = SignalGenerated.model_validate_json(Path(signal_file).read_text())
    asyncio.run(run(step, event, RequestKind(kind), RestingBroker(Path(broker_file))))


if __name__ == "__main__":
    main(*sys.argv[1:])
