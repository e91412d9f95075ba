"""Exchange rates by date: from a setting, which holds at all times, or from rows of a file.

A rate is what one unit of a currency is worth in the account's. It holds from its own time until
the next one, and not longer than a bound: what is older says nothing about the present market.
"""

import csv
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import pairwise

from streamdesk.trading.errors import RateFileError
from streamdesk.trading.money import ZERO, ExchangeRates

COLUMNS = "at", "currency", "rate", "source"
BANDS: Mapping[str, tuple[Decimal, Decimal]] = {"HKD": (1 / Decimal("7.85"), 1 / Decimal("7.75"))}
"""What one unit can be in USD, where an authority holds it there: the Hong Kong Monetary Authority
since 2005. A rate outside is an error of its source."""

RATE_STEP = Decimal("0.00000001")
"""Rates are kept to a hundred-millionth."""


@dataclass(frozen=True, slots=True)
class DatedRate:
    """One rate.

    Attributes:
        currency: ISO 4217 code.
        at: from when on it holds.
        rate: what one unit is worth in the account's currency.
        source: who says so.
    """

    currency: str
    at: datetime
    rate: Decimal
    source: str


class RateBook:
    """The rates at any time.

    Args:
        account_currency: ISO 4217 code; its rate is 1.
        fixed: rates that hold at all times; empty where they are dated.
        conversion_bps: as in `ExchangeRates`.
        max_age: how long a dated rate holds; None without end.
    """

    def __init__(
        self,
        account_currency: str,
        fixed: Mapping[str, Decimal] | None = None,
        conversion_bps: Decimal = ZERO,
        max_age: timedelta | None = None,
    ) -> None:
        self.account_currency = account_currency
        self._conversion_bps = conversion_bps
        self._max_age = max_age
        self._fixed = ExchangeRates(account_currency, fixed or {}, conversion_bps)
        self._dated: dict[str, list[DatedRate]] = {}

    @property
    def is_dated(self) -> bool:
        """Whether the time matters."""
        return bool(self._dated)

    def use(self, rates: Iterable[DatedRate]) -> None:
        """Go by these rates from now on, in place of all before."""
        dated: dict[str, list[DatedRate]] = {}
        for item in sorted(rates, key=lambda item: item.at):
            dated.setdefault(item.currency, []).append(item)
        self._dated = dated

    def at(self, time: datetime | None) -> ExchangeRates:
        """The rates when the market had this time; None: the newest there are.

        A rate that is too old, or that does not hold yet, is given as well: what happened has to
        be booked at some rate. It stands in `unknown` then, and nothing is bought by it.
        """
        if not self._dated:
            return self._fixed
        chosen: dict[str, DatedRate] = {}
        unknown: dict[str, str] = {}
        for currency, rates in self._dated.items():
            number = bisect_right(rates, time, key=lambda item: item.at) if time else len(rates)
            chosen[currency] = item = rates[max(number - 1, 0)]
            why = _why_unknown(item, time, self._max_age)
            if why:
                unknown[currency] = why
        return ExchangeRates(
            self.account_currency,
            {currency: item.rate for currency, item in chosen.items()},
            self._conversion_bps,
            dates={currency: item.at for currency, item in chosen.items()},
            unknown=unknown,
        )


def _why_unknown(item: DatedRate, time: datetime | None, max_age: timedelta | None) -> str:
    if time is None:
        return ""
    if item.at > time:
        return f"the first rate of {item.currency} is of {item.at.isoformat()}"
    if max_age is not None and time - item.at > max_age:
        days = max_age / timedelta(days=1)
        return (
            f"the last rate of {item.currency} is of {item.at.isoformat()}, at "
            f"{time.isoformat()} it may be {days:g} days old"
        )
    return ""


def read_rates(text: str, path: str) -> tuple[DatedRate, ...]:
    """Rates from the text of a CSV file with the columns at, currency, rate and source.

    Args:
        text: of the file; `at` is a day (UTC) or a time with its zone, and `rate` is USD for one
            unit.
        path: where it is, for errors.

    Raises:
        RateFileError: other columns, a value that cannot be, two rates of one time, or none; it
            names the line, the value and what was expected.
    """
    reader = csv.reader(text.splitlines(), strict=True)
    found: list[tuple[DatedRate, str]] = []
    try:
        for values in reader:
            place = f"{path} line {reader.line_num}"
            if reader.line_num == 1:
                if tuple(values) != COLUMNS:
                    raise RateFileError(place, "header", ",".join(values), ",".join(COLUMNS))
            else:
                found.append((_row(place, values), place))
    except csv.Error as error:
        place = f"{path} line {reader.line_num}"
        raise RateFileError(place, "row", str(error), "comma-separated values") from None
    if not found:
        raise RateFileError(path, "content", "", f"{','.join(COLUMNS)} and at least one row")
    found.sort(key=lambda item: (item[0].currency, item[0].at))
    for (before, _), (after, place) in pairwise(found):
        if (before.currency, before.at) == (after.currency, after.at):
            expected = f"one rate of {after.currency} for a time"
            raise RateFileError(place, "at", after.at.isoformat(), expected)
    return tuple(item for item, _ in found)


def _row(place: str, values: list[str]) -> DatedRate:
    if len(values) != len(COLUMNS):
        expected = f"{len(COLUMNS)} values: {','.join(COLUMNS)}"
        raise RateFileError(place, "row", ",".join(values), expected)
    at, currency, rate, source = (value.strip() for value in values)
    if len(currency) != 3 or not (currency.isascii() and currency.isupper()):  # noqa: PLR2004 - ISO 4217
        raise RateFileError(place, "currency", currency, "an ISO 4217 code, as in HKD")
    if not source:
        raise RateFileError(place, "source", source, "where the rate is from")
    return DatedRate(currency, _time(place, at), _rate(place, currency, rate), source)


def _time(place: str, text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        expected = "a day, as in 2026-11-27, or a time, as in 2026-11-27T15:00:00+00:00"
        raise RateFileError(place, "at", text, expected) from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _rate(place: str, currency: str, text: str) -> Decimal:
    least, most = BANDS.get(currency, (RATE_STEP, Decimal(1_000)))
    try:
        rate = Decimal(text)
        fits = rate.is_finite() and least <= rate <= most
    except InvalidOperation:
        fits = False
    if not fits:
        expected = f"USD for one {currency}, from {least:.8f} to {most:.8f}"
        raise RateFileError(place, "rate", text, expected)
    return rate.quantize(RATE_STEP)
