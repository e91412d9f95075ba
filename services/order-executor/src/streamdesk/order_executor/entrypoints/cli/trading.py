"""Commands about the kill switch: halt, reduce, resume, status."""

import argparse
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from streamdesk.order_executor.adapters.halt_file import WantedHalt, halt_file_of
from streamdesk.order_executor.adapters.ledger import Ledger
from streamdesk.order_executor.adapters.ledger.desk_requests import DeskRequest, DeskRequests
from streamdesk.order_executor.adapters.ledger.kill_switch import KillSwitch
from streamdesk.order_executor.application.switch_trading import (
    STOPS,
    TradingCommand,
    leave_halt,
    settled_orders,
    switch_trading,
)
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.domain import Halt
from streamdesk.order_executor.entrypoints.cli.ending import PROGRAM, run
from streamdesk.order_executor.errors import DatabaseError
from streamdesk.trading.orders import Order
from streamdesk.trading.trading_state import TradingState

OF_THE_LEDGER_SECONDS = 2.0
"""An order's outcome is booked this much later than the broker's answer at most, as a rule."""


class OpenTrading(Protocol):
    """What the commands use of an open ledger."""

    @property
    def ledger(self) -> Ledger:
        """The account's books."""

    @property
    def kill_switch(self) -> KillSwitch:
        """What may be sent."""

    @property
    def requests(self) -> DeskRequests:
        """What a person asks of all executors."""


OpenTradingOf = Callable[[Settings], AbstractAsyncContextManager[OpenTrading]]
"""Opens the ledger, its tables up to date, and closes it again."""


def trading(arguments: Sequence[str], open_trading: OpenTradingOf) -> int:
    """Use the kill switch of the configured ledger, and print the state.

    A halt works without the ledger, too: it is left beside the ledger's file. With the ledger,
    `halt` and `reduce` wait for orders that are on their way to the broker.

    Returns:
        The exit code.
    """
    options = _options(arguments)
    command, reason = TradingCommand(options.command), getattr(options, "reason", "")

    async def work(settings: Settings) -> dict[str, Any]:
        file = halt_file_of(settings)
        try:
            file.look_for_ledger()
            async with open_trading(settings) as desk:
                halt = await switch_trading(desk.kill_switch, command, reason)
                if command is not TradingCommand.STATUS:
                    file.remove()
                report = _shown(halt)
                if command in STOPS and halt is not None:
                    seconds = settings.broker_timeout_seconds + OF_THE_LEDGER_SECONDS
                    orders = await settled_orders(desk.ledger, halt, seconds)
                    report["on_their_way"] = [_order(order) for order in orders]
                requests = await desk.requests.open()
                return report | {"requests": [_request(request) for request in requests]}
        except DatabaseError as error:
            return _left(leave_halt(file, command, reason, error), error)

    return run(work)


def _order(order: Order) -> dict[str, Any]:
    return {
        "order": order.client_order_id,
        "symbol": order.intent.symbol,
        "side": order.intent.side,
        "state": order.state,
    }


def _request(request: DeskRequest) -> dict[str, Any]:
    return {
        "request": request.kind,
        "since": request.made_at.isoformat(),
        "left": sum(item.outcome is None for item in request.items),
        "of": len(request.items),
    }


def _left(wanted: WantedHalt, error: DatabaseError) -> dict[str, Any]:
    return {
        "halted": wanted.state is TradingState.HALTED,
        "state": wanted.state,
        "reason": wanted.reason,
        "waits_for_ledger": str(error).partition("\n")[0],
    }


def _shown(halt: Halt | None) -> dict[str, Any]:
    if halt is None:
        return {"halted": False, "state": TradingState.ACTIVE}
    return {
        "halted": halt.state is TradingState.HALTED,
        "state": halt.state,
        "since": halt.at.isoformat(),
        "reason": halt.reason,
    }


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="The kill switch: while trading is halted nothing is sent; while it is reduced "
        "exits alone are.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    halt = commands.add_parser(TradingCommand.HALT, help="send nothing from now on")
    reduce = commands.add_parser(TradingCommand.REDUCE, help="send exits alone from now on")
    for stop in (halt, reduce):
        stop.add_argument("--reason", default="", help="why, for people")
    commands.add_parser(TradingCommand.RESUME, help="send everything again")
    commands.add_parser(TradingCommand.STATUS, help="say what is sent, and why")
    return parser.parse_args(arguments)
