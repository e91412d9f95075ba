"""Commands that read the ledger: `ledger QUESTION...`, `ledger check`.

They change nothing, make no file, and work beside executors and on a stopped desk.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from streamdesk.contracts.symbols import canonical_symbol
from streamdesk.order_executor.adapters.ledger.listing import LedgerListing
from streamdesk.order_executor.adapters.ledger.statements import LedgerQuestion, Wanted
from streamdesk.order_executor.application.check_books import BookCheck
from streamdesk.order_executor.config import NAME, Settings
from streamdesk.order_executor.entrypoints.cli.ending import (
    EXIT_BAD_SETTING,
    EXIT_FAILED,
    PROGRAM,
    complain,
    print_report,
)
from streamdesk.order_executor.errors import (
    BrokerUnavailableError,
    DatabaseBusyError,
    DatabaseDamagedError,
    DatabaseError,
    DatabaseRefusedError,
    OutcomeUnknownError,
)
from streamdesk.runtime import BadSettingError
from streamdesk.runtime.logs import configure_logs
from streamdesk.runtime.settings_report import load

CHECK = "check"
EXIT_UNREADABLE = 2
ADVICE: dict[type[Exception], str] = {
    DatabaseBusyError: "try again, or end the process that holds it",
    DatabaseDamagedError: "restore it from a backup; nothing was changed",
    DatabaseRefusedError: "",
    BrokerUnavailableError: "correct PAPER_BROKER_URL: its records belong to the ledger",
}
START_OR_CORRECT = "correct LEDGER_URL, or start the desk, which makes a ledger"


@dataclass(frozen=True, slots=True)
class LedgerReaders:
    """What reads the ledger that the settings name."""

    listing: Callable[[Settings], LedgerListing]
    book_check: Callable[[Settings], AbstractAsyncContextManager[BookCheck]]


def ledger(arguments: Sequence[str], readers: LedgerReaders) -> int:
    """Print rows of the ledger, or what is wrong with it, as lines of JSON.

    Returns:
        The exit code: 0; 1 when the books differ; 2 when the ledger cannot be read, or for a bad
        setting.
    """
    options = _options(arguments)
    try:
        settings = load(Settings)
        # That a database is lost is said below, once.
        configure_logs(NAME, settings.model_copy(update={"log_level": "error"}), sys.stderr)
        if options.questions == [CHECK]:
            return asyncio.run(_check(readers.book_check, settings))
        asyncio.run(_list(readers.listing(settings), options))
    except BadSettingError as error:
        return complain(error, EXIT_BAD_SETTING)
    except (DatabaseError, BrokerUnavailableError, OutcomeUnknownError) as error:
        advice = ADVICE.get(type(error), START_OR_CORRECT)
        return complain("; ".join(filter(None, [_first_line(error), advice])), EXIT_UNREADABLE)
    return 0


async def _list(listing: LedgerListing, options: argparse.Namespace) -> None:
    wanted = Wanted(options.symbol, options.since, options.limit)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as spool:
        counts = await listing.write(
            [LedgerQuestion(name) for name in options.questions], wanted, spool
        )
        spool.seek(0)
        shutil.copyfileobj(spool, sys.stdout)
    print_report(counts)


async def _check(
    open_check: Callable[[Settings], AbstractAsyncContextManager[BookCheck]], settings: Settings
) -> int:
    async with open_check(settings) as check:
        of_ledger, of_broker = await check.check()
    findings: list[dict[str, Any]] = [
        {
            "book": book,
            "what": item.what,
            "expected": str(item.expected),
            "found": str(item.found),
            "stops_trading": item.stops_trading,
        }
        for book, items in (("ledger", of_ledger), ("broker", of_broker))
        for item in items
    ]
    print_report({"balanced": not findings, "findings": findings})
    return EXIT_FAILED if findings else 0


def _first_line(error: Exception) -> str:
    # What follows the first line may be a statement, or parameters.
    return str(error).partition("\n")[0]


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} ledger",
        description="Reads the ledger and changes nothing: JSON lines, the oldest rows first.",
    )
    parser.add_argument(
        "questions",
        nargs="+",
        choices=[*LedgerQuestion, CHECK],
        metavar="QUESTION",
        help=f"{', '.join(LedgerQuestion)}: all of one moment; or {CHECK}, whether the books agree",
    )
    parser.add_argument("--symbol", type=canonical_symbol, help="of this symbol alone")
    parser.add_argument("--since", type=_moment, help="from this time on, as in 2026-11-21T09:00Z")
    parser.add_argument("--limit", type=_count, help="the newest so many; all without")
    options = parser.parse_args(arguments[1:])
    if CHECK in options.questions and len(options.questions) > 1:
        parser.error(f"{CHECK} is asked alone")
    return options


def _moment(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no zone; expected as in {text}Z")
    return at


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}; expected at least 1")
    return number
