"""How a command runs and ends: one line of JSON, or one line that says what is wrong."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from streamdesk.order_executor.config import NAME, Settings
from streamdesk.order_executor.errors import AdoptionError, DatabaseError, UnknownLockError
from streamdesk.runtime import BadSettingError
from streamdesk.runtime.logs import configure_logs
from streamdesk.runtime.settings_report import load

PROGRAM = "python -m streamdesk.order_executor"
EXIT_FAILED = 1
EXIT_BAD_SETTING = 2


class NotThereError(Exception):
    """The ledger has nothing that the command could be about."""


def run(
    work: Callable[[Settings], Coroutine[Any, Any, dict[str, Any]]],
    is_done: Callable[[dict[str, Any]], bool] = lambda _: True,
) -> int:
    """Run a command with the settings of the environment, and print its report.

    Args:
        work: what it does; returns the report.
        is_done: whether a report says that all is done.

    Returns:
        The exit code: 0; 1 when there is nothing to do it to, the ledger is unavailable, or not all
        is done; 2 for a bad setting.
    """
    try:
        settings = load(Settings)
        configure_logs(NAME, settings, sys.stderr)
        report = asyncio.run(work(settings))
    except BadSettingError as error:
        return complain(error, EXIT_BAD_SETTING)
    except (NotThereError, AdoptionError, UnknownLockError) as error:
        return complain(error, EXIT_FAILED)
    except DatabaseError as error:
        return complain(f"the ledger is unavailable: {error}", EXIT_FAILED)
    print_report(report)
    return 0 if is_done(report) else EXIT_FAILED


def print_report(report: dict[str, Any]) -> None:
    """The last line of a command."""
    sys.stdout.write(json.dumps({"kind": "report", **report}) + "\n")


def complain(error: object, code: int) -> int:
    """Say in one line what is wrong; returns the exit code."""
    sys.stderr.write(f"{NAME}: {error}\n")
    return code
