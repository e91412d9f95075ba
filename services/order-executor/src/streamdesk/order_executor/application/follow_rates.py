"""Keeps the rates of a file in use: it is read again when it has changed."""

from collections.abc import Callable
from pathlib import Path

from streamdesk.order_executor.adapters.ledger import Ledger
from streamdesk.runtime import logger
from streamdesk.trading.errors import RateFileError
from streamdesk.trading.markets import CURRENCY
from streamdesk.trading.rates import DatedRate, read_rates

log = logger(__name__)


def read_rates_file(path: Path, account_currency: str) -> tuple[DatedRate, ...]:
    """The rates of a file.

    Raises:
        RateFileError: it cannot be read or used, or lacks a currency that is traded in.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise RateFileError(f"{path}", "file", f"{error}", "a CSV file of rates") from error
    rates = read_rates(text, f"{path}")
    missing = {*CURRENCY.values()} - {account_currency} - {item.currency for item in rates}
    if missing:
        expected = f"a rate of {', '.join(sorted(missing))}, which the desk trades in"
        raise RateFileError(f"{path}", "currency", "", expected)
    return rates


class RatesFile:
    """A file of rates that is in use.

    Args:
        ledger: goes by the rates, and records them.
        path: of the file.
        read: reads it.
    """

    def __init__(
        self, ledger: Ledger, path: Path, read: Callable[[Path], tuple[DatedRate, ...]]
    ) -> None:
        self._ledger = ledger
        self._path = path
        self._read = read
        self._seen = ""

    async def follow(self) -> None:
        """Use what is new in the file; one that cannot be used changes nothing, and is logged once.

        The rates in use grow old meanwhile, and entries are refused when they are too old.

        Raises:
            DatabaseError: they are in use, and not recorded; the next call does it.
        """
        seen = self._state()
        if seen == self._seen:
            return
        try:
            rates = self._read(self._path)
        except RateFileError as error:
            log.error("exchange rates not read", error=str(error))  # noqa: TRY400 - the message says it all
        else:
            count = await self._ledger.use_rates(rates)
            log.info("exchange rates read", path=str(self._path), new=count)
        self._seen = seen

    def _state(self) -> str:
        try:
            found = self._path.stat()
        except OSError as error:
            return str(error)
        return f"{found.st_mtime_ns} {found.st_size} {found.st_ino}"
