"""Commands about single orders and trades: what a person has found out at the broker.

resolve ORDER_ID   end an order that the broker contradicts
adopt TRADE_ID     book a trade that no desk ordered
ignore TRADE_ID    leave it out of the books
"""

import argparse
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Any, Protocol

from streamdesk.order_executor.adapters.ledger.contradictions import Contradictions
from streamdesk.order_executor.adapters.ledger.external_trades import ExternalTrades
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.entrypoints.cli.ending import PROGRAM, NotThereError, run


class OrderCommand(StrEnum):
    """What can be done about an order or a trade."""

    RESOLVE = "resolve"
    ADOPT = "adopt"
    IGNORE = "ignore"


class OpenLedger(Protocol):
    """What the commands use of an open ledger."""

    @property
    def contradictions(self) -> Contradictions:
        """Orders that the broker contradicts."""

    @property
    def external(self) -> ExternalTrades:
        """Trades that no desk ordered."""


OpenExecutor = Callable[[Settings], AbstractAsyncContextManager[OpenLedger]]
"""Opens the ledger, its tables up to date, and closes it again."""


def about_an_order(arguments: Sequence[str], open_executor: OpenExecutor) -> int:
    """Do what the command says about an order, and print the outcome.

    Returns:
        The exit code.
    """
    options = _options(arguments)

    async def work(settings: Settings) -> dict[str, Any]:
        async with open_executor(settings) as executor:
            return await _done(executor, options)

    return run(work)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="What a person has found out about an order or a trade at the broker.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    resolve = commands.add_parser(
        OrderCommand.RESOLVE, help="end an order that the broker contradicts: it is dead there"
    )
    resolve.add_argument("id", help="the client order id, as in the alert")
    resolve.add_argument("--reason", default="", help="why, for people")
    adopt = commands.add_parser(OrderCommand.ADOPT, help="book a trade that no desk ordered")
    adopt.add_argument("id", help="the broker's id of the trade, as in the alert")
    ignore = commands.add_parser(OrderCommand.IGNORE, help="leave such a trade out of the books")
    ignore.add_argument("id", help="as of adopt")
    ignore.add_argument("--reason", default="", help="why, for people")
    return parser.parse_args(arguments)


async def _done(ledger: OpenLedger, options: argparse.Namespace) -> dict[str, Any]:
    command = OrderCommand(options.command)
    if command is OrderCommand.RESOLVE:
        return await _resolve(ledger, options)
    if command is OrderCommand.ADOPT:
        settled = await ledger.external.adopt(options.id)
    else:
        settled = await ledger.external.ignore(options.id, options.reason)
    if settled is None:
        raise NotThereError(
            f"there is no open external trade {options.id}: `streamdesk doctor --only ledger` "
            "lists those that there are"
        )
    trade = settled.trade
    return {"trade": trade.trade_id, "symbol": trade.symbol or "", "state": settled.state}


async def _resolve(ledger: OpenLedger, options: argparse.Namespace) -> dict[str, Any]:
    order = await ledger.contradictions.resolve(options.id, options.reason)
    if order is None:
        raise NotThereError(
            f"order {options.id} is not contradicted: `streamdesk doctor --only ledger` lists "
            "those that are"
        )
    intent = order.intent
    return {"order": order.client_order_id, "symbol": intent.symbol, "state": order.state}
