"""Commands about the kill switch: halt, reduce, resume, status."""

import argparse
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from streamdesk.order_executor.adapters.halt_file import WantedHalt, halt_file_of
from streamdesk.order_executor.adapters.ledger.kill_switch import KillSwitch
from streamdesk.order_executor.application.switch_trading import (
    TradingCommand,
    leave_halt,
    switch_trading,
)
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.domain import Halt
from streamdesk.order_executor.entrypoints.cli.ending import PROGRAM, run
from streamdesk.order_executor.errors import DatabaseError
from streamdesk.trading.trading_state import TradingState

OpenKillSwitch = Callable[[Settings], AbstractAsyncContextManager[KillSwitch]]
"""Opens the ledger, its tables up to date, and closes it again."""


def trading(arguments: Sequence[str], open_kill_switch: OpenKillSwitch) -> int:
    """Use the kill switch of the configured ledger, and print the state.

    A halt works without the ledger, too: it is left beside the ledger's file.

    Returns:
        The exit code.
    """
    options = _options(arguments)
    command, reason = TradingCommand(options.command), getattr(options, "reason", "")

    async def work(settings: Settings) -> dict[str, Any]:
        file = halt_file_of(settings)
        try:
            file.look_for_ledger()
            async with open_kill_switch(settings) as kill_switch:
                halt = await switch_trading(kill_switch, command, reason)
                if command is not TradingCommand.STATUS:
                    file.remove()
                return _shown(halt)
        except DatabaseError as error:
            return _left(leave_halt(file, command, reason, error), error)

    return run(work)


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
