"""Commands about single orders: what a person has found out about them at the broker.

resolve ORDER_ID   end an order that the broker contradicts
"""

import argparse
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Any, Protocol

from streamdesk.order_executor.adapters.ledger.contradictions import Contradictions
from streamdesk.order_executor.config import Settings


class OrderCommand(StrEnum):
    """What can be done about an order."""

    RESOLVE = "resolve"


class OpenLedger(Protocol):
    """What the commands use of an open ledger."""

    @property
    def contradictions(self) -> Contradictions:
        """Orders that the broker contradicts."""


OpenExecutor = Callable[[Settings], AbstractAsyncContextManager[OpenLedger]]
"""Opens the ledger, its tables up to date, and closes it again."""


class NotThereError(Exception):
    """The ledger has nothing of this id that the command could be about."""


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """The command and its arguments; ends the process with a usage line if they are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m streamdesk.order_executor",
        description="What a person has found out about an order at the broker.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    resolve = commands.add_parser(
        OrderCommand.RESOLVE, help="end an order that the broker contradicts: it is dead there"
    )
    resolve.add_argument("id", help="the client order id, as in the alert")
    resolve.add_argument("--reason", default="", help="why, for people")
    return parser.parse_args(arguments)


async def run_order_command(ledger: OpenLedger, options: argparse.Namespace) -> dict[str, Any]:
    """Do it, and report what has become of it.

    Raises:
        NotThereError: there is no such thing, or nothing to do about it.
        DatabaseError: it is not known whether it was done; the same call again is safe.
    """
    order = await ledger.contradictions.resolve(options.id, options.reason)
    if order is None:
        raise NotThereError(
            f"order {options.id} is not contradicted: `streamdesk doctor --only ledger` lists "
            "those that are"
        )
    intent = order.intent
    return {"order": order.client_order_id, "symbol": intent.symbol, "state": order.state}
