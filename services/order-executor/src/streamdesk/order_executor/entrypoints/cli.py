"""Commands beside the service itself: `python -m streamdesk.order_executor COMMAND`.

migrate                bring the tables up to date
inspect                print how the ledger is, as JSON; changes nothing
halt, reduce, resume, status   the kill switch
resolve, adopt, ignore what a person found out about an order or a trade: `order_commands`
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from streamdesk.order_executor.adapters.ledger.inspection import LedgerInspector
from streamdesk.order_executor.adapters.ledger.kill_switch import KillSwitch
from streamdesk.order_executor.application.inspect_ledger import inspect_ledger
from streamdesk.order_executor.application.switch_trading import TradingCommand, switch_trading
from streamdesk.order_executor.config import NAME, Settings
from streamdesk.order_executor.domain import Halt
from streamdesk.order_executor.entrypoints.order_commands import (
    NotThereError,
    OpenExecutor,
    OrderCommand,
    options_of,
    run_order_command,
)
from streamdesk.order_executor.errors import AdoptionError, DatabaseError
from streamdesk.runtime import BadSettingError, logger
from streamdesk.runtime.logs import configure_logs
from streamdesk.runtime.settings_report import load
from streamdesk.trading.trading_state import TradingState

log = logger(__name__)
EXIT_FAILED = 1
EXIT_BAD_SETTING = 2

OpenKillSwitch = Callable[[Settings], AbstractAsyncContextManager[KillSwitch]]
"""Opens the ledger, its tables up to date, and closes it again."""

InspectorOf = Callable[[str], LedgerInspector]


def run_command(
    arguments: Sequence[str],
    open_kill_switch: OpenKillSwitch,
    open_executor: OpenExecutor,
    inspector_of: InspectorOf,
) -> int | None:
    """Run the command that the arguments name.

    Returns:
        Its exit code; None when they name none.
    """
    if list(arguments) == ["migrate"]:
        return migrate(open_kill_switch)
    if list(arguments) == ["inspect"]:
        return inspect(inspector_of)
    if arguments and arguments[0] in set(TradingCommand):
        return trading(arguments, open_kill_switch)
    if arguments and arguments[0] in set(OrderCommand):
        return about_an_order(arguments, open_executor)
    return None


def migrate(open_kill_switch: OpenKillSwitch) -> int:
    """Bring the tables of the ledger and of the paper broker up to date, as a start would.

    Waits for a database that is unreachable.

    Returns:
        The exit code: 0; 2 for a bad setting.
    """

    async def run(settings: Settings) -> None:
        async with open_kill_switch(settings):
            log.info("tables are up to date")

    try:
        settings = load(Settings)
        configure_logs(NAME, settings)
        asyncio.run(run(settings))
    except BadSettingError as error:
        return _complain(error, EXIT_BAD_SETTING)
    return 0


def inspect(inspector_of: InspectorOf) -> int:
    """Print what `inspect_ledger` finds as a line of JSON.

    Returns:
        The exit code: 0, also with an error to report; 2 for a bad setting.
    """
    try:
        settings = load(Settings)
    except BadSettingError as error:
        return _complain(error, EXIT_BAD_SETTING)
    configure_logs(NAME, settings, sys.stderr)
    url = settings.ledger_url.get_secret_value()
    _print(asyncio.run(inspect_ledger(url, inspector_of)))
    return 0


def trading(arguments: Sequence[str], open_kill_switch: OpenKillSwitch) -> int:
    """Use the kill switch of the configured ledger, and print the state as a line of JSON.

    Returns:
        The exit code: 0; 1 when the ledger is unavailable; 2 for a bad setting.
    """
    options = _options(arguments)

    async def run(settings: Settings) -> Halt | None:
        async with open_kill_switch(settings) as kill_switch:
            command = TradingCommand(options.command)
            return await switch_trading(kill_switch, command, getattr(options, "reason", ""))

    try:
        settings = load(Settings)
        configure_logs(NAME, settings, sys.stderr)
        halt = asyncio.run(run(settings))
    except BadSettingError as error:
        return _complain(error, EXIT_BAD_SETTING)
    except DatabaseError as error:
        return _complain(f"the ledger is unavailable: {error}", EXIT_FAILED)
    state = TradingState.ACTIVE if halt is None else halt.state
    report: dict[str, object] = {"halted": state is TradingState.HALTED, "state": state}
    if halt is not None:
        report |= {"since": halt.at.isoformat(), "reason": halt.reason}
    _print(report)
    return 0


def about_an_order(arguments: Sequence[str], open_executor: OpenExecutor) -> int:
    """Do what the command says about an order, and print the outcome as a line of JSON.

    Returns:
        The exit code: 0; 1 when there is no such order or the ledger is unavailable; 2 for a bad
        setting.
    """
    options = options_of(arguments)

    async def run(settings: Settings) -> dict[str, object]:
        async with open_executor(settings) as executor:
            return await run_order_command(executor, options)

    try:
        settings = load(Settings)
        configure_logs(NAME, settings, sys.stderr)
        _print(asyncio.run(run(settings)))
    except BadSettingError as error:
        return _complain(error, EXIT_BAD_SETTING)
    except (NotThereError, AdoptionError) as error:
        return _complain(error, EXIT_FAILED)
    except DatabaseError as error:
        return _complain(f"the ledger is unavailable: {error}", EXIT_FAILED)
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m streamdesk.{NAME.replace('-', '_')}",
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


def _print(report: dict[str, object]) -> None:
    sys.stdout.write(json.dumps({"kind": "report", **report}) + "\n")


def _complain(error: object, code: int) -> int:
    sys.stderr.write(f"{NAME}: {error}\n")
    return code
