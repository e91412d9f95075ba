"""The executor's own commands, on the ledger that LEDGER_URL or the desk's folder names."""

import os
from collections.abc import Callable
from pathlib import Path

from streamdesk.console.adapters.folder import Folder
from streamdesk.console.adapters.service_command import EndedCommand, Line, run_service_command
from streamdesk.console.domain.services import ledger_urls
from streamdesk.console.errors import UsageError

MODULE = "streamdesk.order_executor"


def run_executor(
    arguments: list[str], data: Path, on_line: Callable[[Line], None] = lambda _: None
) -> EndedCommand:
    """Run a command of the executor until it ends.

    Args:
        arguments: of the command.
        data: folder of the desk.
        on_line: called with every line that it prints.

    Raises:
        UsageError: no ledger is known.
    """
    folder = Folder(data)
    if not os.environ.get("LEDGER_URL") and not (folder.ledger / "ledger.db").exists():
        raise UsageError(
            f"there is no ledger in {folder.ledger}: `streamdesk up` makes one there, LEDGER_URL "
            "names another"
        )
    urls = ledger_urls(folder.ledger, os.environ)
    return run_service_command([MODULE, *arguments], urls, on_line)


def ask_executor(arguments: list[str], data: Path) -> Line:
    """The report of a command of the executor.

    Raises:
        ConsoleError: it could not do it; the message is its own.
    """
    ended = run_executor(arguments, data)
    if ended.code != 0:
        raise ended.error("the executor's command")
    return ended.last
