"""Commands about locks of entries: `python -m streamdesk.order_executor COMMAND`.

locks                     print the locks that have not ended, as JSON
unlock NUMBER... | --all  lift them
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from streamdesk.order_executor.adapters.ledger.loss_limits import LossLimits
from streamdesk.order_executor.application.lift_locks import lift_locks
from streamdesk.order_executor.config import NAME, Settings
from streamdesk.order_executor.domain import NumberedLock
from streamdesk.order_executor.errors import DatabaseError, UnknownLockError
from streamdesk.runtime import BadSettingError
from streamdesk.runtime.logs import configure_logs
from streamdesk.runtime.settings_report import load

COMMANDS = "locks", "unlock"
EXIT_FAILED = 1
EXIT_BAD_SETTING = 2

OpenLossLimits = Callable[[Settings], AbstractAsyncContextManager[LossLimits]]
"""Opens the ledger, its tables up to date, and closes it again."""


def run_lock_command(arguments: Sequence[str], open_loss_limits: OpenLossLimits) -> int | None:
    """Run the command that the arguments name, and print the locks as a line of JSON.

    Returns:
        Its exit code: 0; 1 when the ledger is unavailable or has no such lock; 2 for a bad setting.
        None when they name none.
    """
    if not arguments or arguments[0] not in COMMANDS:
        return None
    options = _options(arguments)

    async def run(settings: Settings) -> list[NumberedLock]:
        async with open_loss_limits(settings) as limits:
            if options.command == "locks":
                return await limits.locks()
            return await lift_locks(limits, None if options.all else options.numbers)

    try:
        settings = load(Settings)
        configure_logs(NAME, settings, sys.stderr)
        locks = asyncio.run(run(settings))
    except BadSettingError as error:
        return _complain(error, EXIT_BAD_SETTING)
    except UnknownLockError as error:
        return _complain(error, EXIT_FAILED)
    except DatabaseError as error:
        return _complain(f"the ledger is unavailable: {error}", EXIT_FAILED)
    name = "locks" if options.command == "locks" else "lifted"
    report = {"kind": "report", name: [_shown(item) for item in locks]}
    sys.stdout.write(json.dumps(report) + "\n")
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m streamdesk.{NAME.replace('-', '_')}",
        description="Locks of entries: while one is in force no position is opened in its symbol, "
        "or in any; exits continue.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("locks", help="print the locks that have not ended")
    unlock = commands.add_parser("unlock", help="lift locks; losses are measured anew from here")
    which = unlock.add_mutually_exclusive_group(required=True)
    which.add_argument("numbers", nargs="*", type=int, default=[], help="of the locks")
    which.add_argument("--all", action="store_true", help="lift every lock")
    return parser.parse_args(arguments)


def _shown(item: NumberedLock) -> dict[str, Any]:
    lock = item.lock
    return {
        "number": item.number,
        "symbol": lock.symbol,
        "code": lock.code,
        "until": lock.until.isoformat() if lock.until else None,
        "made_at": lock.made_at.isoformat(),
        "reason": lock.reason,
    }


def _complain(error: object, code: int) -> int:
    sys.stderr.write(f"{NAME}: {error}\n")
    return code
