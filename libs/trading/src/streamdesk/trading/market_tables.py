"""Tables of what exchanges and authorities decide: lots, ticks and fees, from CSV files.

Each row has the first day on which it holds and the source that says so. Before the first row of a
lot or of a market's ticks that row holds, as the oldest that is known; a fee is not taken before
its first row. The tables of this package are in `tables/`; a user's own rows are laid over them.
"""

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib.resources import files
from typing import TypeVar

from streamdesk.contracts.events import Side
from streamdesk.contracts.symbols import canonical_symbol, is_share
from streamdesk.trading.dated import Dated
from streamdesk.trading.errors import MarketTableError
from streamdesk.trading.fees import FeeBasis, FeeRounding, StatutoryFee
from streamdesk.trading.money import ZERO

# (from this price on, the tick is), ascending.
Bands = tuple[tuple[Decimal, Decimal], ...]
Read = TypeVar("Read")
K = TypeVar("K")
V = TypeVar("V")

TABLE_FILES: Mapping[str, tuple[str, ...]] = {
    "lots.csv": ("symbol", "from", "lot", "source"),
    "ticks.csv": ("market", "from", "price", "tick", "source"),
    "fees.csv": (
        *("market", "fee", "from", "side", "basis", "rate"),
        *("minimum", "maximum", "rounding", "source"),
    ),
}
"""The files, each with its columns."""

_MARKETS = {"US": "US", "HK": "HK"}
_SIDES = {
    "both": frozenset(Side),
    "buy": frozenset({Side.BUY}),
    "sell": frozenset({Side.SELL}),
}


@dataclass(frozen=True, slots=True)
class MarketTables:
    """What holds, and from when.

    Attributes:
        lots: shares in a board lot, by symbol.
        ticks: price bands, by market.
        fees: statutory fees, by market and name.
    """

    lots: Mapping[str, Dated[int]] = field(default_factory=dict)
    ticks: Mapping[str, Dated[Bands]] = field(default_factory=dict)
    fees: Mapping[str, Mapping[str, Dated[StatutoryFee]]] = field(default_factory=dict)

    def extended(self, other: "MarketTables") -> "MarketTables":
        """With other rows as well; of two about the same thing and day the other's counts."""
        return MarketTables(
            lots=_laid_over(self.lots, other.lots),
            ticks=_laid_over(self.ticks, other.ticks),
            fees={
                market: _laid_over(self.fees.get(market, {}), other.fees.get(market, {}))
                for market in {**self.fees, **other.fees}
            },
        )


@cache
def built_in() -> MarketTables:
    """The tables of this package."""
    folder = files("streamdesk.trading") / "tables"
    return read_tables({name: (folder / name).read_text("utf-8") for name in TABLE_FILES})


def read_tables(texts: Mapping[str, str], folder: str = "") -> MarketTables:
    """Tables from the texts of files.

    Args:
        texts: by the file's name, as in `TABLE_FILES`; one that is missing is an empty table.
        folder: where they are, for errors.

    Raises:
        MarketTableError: a file has other columns, or a value that cannot be; it names the file,
            the line, the value and what was expected.
    """
    rows = {name: _rows(f"{folder}{name}", text, TABLE_FILES[name]) for name, text in texts.items()}
    return MarketTables(
        lots=_lots(rows.get("lots.csv", [])),
        ticks=_ticks(rows.get("ticks.csv", [])),
        fees=_fees(rows.get("fees.csv", [])),
    )


def _laid_over(mine: Mapping[K, Dated[V]], others: Mapping[K, Dated[V]]) -> dict[K, Dated[V]]:
    both = {key: mine[key].extended(others[key]) for key in mine.keys() & others.keys()}
    return {**mine, **others, **both}


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of a file."""

    place: str
    values: Mapping[str, str]

    def read(self, column: str, kind: Callable[[str], Read], expected: str) -> Read:
        """A value, or the error that names it."""
        text = self.values[column]
        try:
            return kind(text)
        except (ValueError, KeyError, InvalidOperation):
            raise MarketTableError(self.place, column, text, expected) from None

    def day(self) -> date:
        return self.read("from", date.fromisoformat, "a day, as in 2026-04-04")

    def market(self) -> str:
        return self.read("market", _MARKETS.__getitem__, f"one of {', '.join(_MARKETS)}")

    def amount(self, column: str) -> Decimal:
        return self.read(column, _amount, "a number from 0 on, as in 0.0000206")


def _rows(path: str, text: str, columns: tuple[str, ...]) -> list[_Row]:
    reader = csv.reader(text.splitlines(), strict=True)
    rows: list[_Row] = []
    try:
        for values in reader:
            place = f"{path} line {reader.line_num}"
            if reader.line_num == 1 and tuple(values) != columns:
                raise MarketTableError(place, "header", ",".join(values), ",".join(columns))
            if len(values) != len(columns):
                expected = f"{len(columns)} values: {','.join(columns)}"
                raise MarketTableError(place, "row", ",".join(values), expected)
            if reader.line_num > 1:
                rows.append(_Row(place, dict(zip(columns, values, strict=True))))
    except csv.Error as error:
        place = f"{path} line {reader.line_num}"
        raise MarketTableError(place, "row", str(error), "comma-separated values") from None
    if reader.line_num == 0:
        raise MarketTableError(f"{path} line 1", "header", "", ",".join(columns))
    for row in rows:
        row.read("source", _some_text, "where the value is from")
    return rows


def _some_text(text: str) -> str:
    if not text.strip():
        raise ValueError(text)
    return text.strip()


def _amount(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite() or number < 0:
        raise ValueError(text)
    return number


def _positive(text: str) -> Decimal:
    number = _amount(text)
    if number == 0:
        raise ValueError(text)
    return number


def _whole(text: str) -> int:
    if int(text) <= 0:
        raise ValueError(text)
    return int(text)


def _share(text: str) -> str:
    symbol = canonical_symbol(text)
    if not is_share(symbol):
        raise ValueError(text)
    return symbol


def _keep_once(found: dict[date, V], row: _Row, value: V, what: str) -> None:
    day = row.day()
    if day in found:
        raise MarketTableError(row.place, "from", f"{day}", f"one row of {what} for a day")
    found[day] = value


def _lots(rows: Iterable[_Row]) -> dict[str, Dated[int]]:
    found: dict[str, dict[date, int]] = defaultdict(dict)
    for row in rows:
        symbol = row.read("symbol", _share, "a share, as in 700.HK")
        _keep_once(found[symbol], row, row.read("lot", _whole, "a whole number from 1 on"), symbol)
    return {symbol: Dated.of(lots) for symbol, lots in found.items()}


def _ticks(rows: Iterable[_Row]) -> dict[str, Dated[Bands]]:
    found: dict[str, dict[date, dict[Decimal, Decimal]]] = defaultdict(lambda: defaultdict(dict))
    last: dict[tuple[str, date], _Row] = {}
    for row in rows:
        market, day, price = row.market(), row.day(), row.amount("price")
        bands = found[market][day]
        if price in bands:
            expected = f"one row of {market} for a day and a price"
            raise MarketTableError(row.place, "price", f"{price}", expected)
        bands[price] = row.read("tick", _positive, "a number above 0, as in 0.01")
        last[market, day] = row
    for (market, day), row in last.items():
        if ZERO not in found[market][day]:
            expected = f"a row with price 0 among those of {market} from {day} on, too"
            raise MarketTableError(row.place, "price", row.values["price"], expected)
    return {
        market: Dated.of({day: tuple(sorted(bands.items())) for day, bands in days.items()})
        for market, days in found.items()
    }


def _fees(rows: Iterable[_Row]) -> dict[str, dict[str, Dated[StatutoryFee]]]:
    found: dict[str, dict[str, dict[date, StatutoryFee]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        name = row.read("fee", _some_text, "the name of the fee")
        _keep_once(found[row.market()][name], row, _fee(row), name)
    return {
        market: {name: Dated.of(days) for name, days in fees.items()}
        for market, fees in found.items()
    }


def _fee(row: _Row) -> StatutoryFee:
    minimum = row.amount("minimum") if row.values["minimum"] else ZERO
    maximum = row.amount("maximum") if row.values["maximum"] else None
    if maximum is not None and maximum < minimum:
        expected = f"at least the minimum, {minimum}"
        raise MarketTableError(row.place, "maximum", row.values["maximum"], expected)
    return StatutoryFee(
        sides=row.read("side", _SIDES.__getitem__, f"one of {', '.join(_SIDES)}"),
        basis=row.read("basis", FeeBasis, f"one of {', '.join(FeeBasis)}"),
        rate=row.amount("rate"),
        minimum=minimum,
        maximum=maximum,
        rounding=row.read("rounding", FeeRounding, f"one of {', '.join(FeeRounding)}"),
    )
