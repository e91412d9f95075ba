"""Commands about locks of entries.

locks                     print the locks that have not ended, as JSON
unlock NUMBER... | --all  lift them
"""

import argparse
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from streamdesk.order_executor.adapters.ledger.loss_limits import LossLimits
from streamdesk.order_executor.application.lift_locks import lift_locks
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.domain import NumberedLock
from streamdesk.order_executor.entrypoints.cli.ending import PROGRAM, run

COMMANDS = "locks", "unlock"

OpenLossLimits = Callable[[Settings], AbstractAsyncContextManager[LossLimits]]
"""Opens the ledger, its tables up to date, and closes it again."""


def lock_command(arguments: Sequence[str], open_loss_limits: OpenLossLimits) -> int:
    """Run the command that the arguments name, and print the locks.

    Returns:
        The exit code.
    """
    options = _options(arguments)

    async def work(settings: Settings) -> dict[str, Any]:
        async with open_loss_limits(settings) as limits:
            if options.command == "locks":
                return {"locks": [_shown(item) for item in await limits.locks()]}
            lifted = await lift_locks(limits, None if options.all else options.numbers)
            return {"lifted": [_shown(item) for item in lifted]}

    return run(work)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
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
