"""`python -m streamdesk.order_executor halt|resume|status`: the kill switch from a shell."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence

from streamdesk.order_executor.adapters.ledger.kill_switch import Halt
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.desk import Desk
from streamdesk.order_executor.errors import DatabaseError
from streamdesk.order_executor.factory import NAME, make_folders
from streamdesk.runtime import BadSettingError
from streamdesk.runtime.logs import configure_logs
from streamdesk.runtime.settings_report import load

COMMANDS = ("halt", "resume", "status")
EXIT_FAILED = 1
EXIT_BAD_SETTING = 2


def trading(arguments: Sequence[str]) -> int:
    """Do it in the ledger that the settings name, and print the state as a line of JSON.

    Returns:
        The exit code: 0; 1 when the ledger is not to be had; 2 for a bad setting.
    """
    options = _options(arguments)
    try:
        settings = load(Settings)
        configure_logs(NAME, settings, sys.stderr)
        make_folders(settings)
        halt = asyncio.run(_do(settings, options))
    except BadSettingError as error:
        return _complain(error, EXIT_BAD_SETTING)
    except DatabaseError as error:
        return _complain(f"the ledger is not to be had: {error}", EXIT_FAILED)
    told: dict[str, object] = {"halted": halt is not None}
    if halt is not None:
        told |= {"since": halt.at.isoformat(), "reason": halt.reason}
    sys.stdout.write(json.dumps({"kind": "report", **told}) + "\n")
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m streamdesk.{NAME.replace('-', '_')}",
        description="The kill switch: while trading is halted every purchase is refused; sales "
        "and protective exits go on.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    halt = commands.add_parser("halt", help="refuse every purchase from now on")
    halt.add_argument("--reason", default="", help="why, for whoever asks")
    commands.add_parser("resume", help="let purchases go on")
    commands.add_parser("status", help="say whether trading is halted")
    return parser.parse_args(arguments)


async def _do(settings: Settings, options: argparse.Namespace) -> Halt | None:
    async with Desk(settings) as desk:
        if options.command == "halt":
            return await desk.kill_switch.halt(options.reason)
        if options.command == "resume":
            await desk.kill_switch.resume()
            return None
        return await desk.kill_switch.state()


def _complain(error: object, code: int) -> int:
    sys.stderr.write(f"{NAME}: {error}\n")
    return code
