"""Reads bars from CSV (plain or gzip) and Parquet files.

A row that makes no sense becomes an error with its place; only a file that cannot be used at all
raises.
"""

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from streamdesk.contracts.events import BarClosed
from streamdesk.contracts.fields import Instrument, Symbol
from streamdesk.market.bars import BarSequence, make_bar, usual_interval_seconds
from streamdesk.market.errors import BarError, BarFileError, UnreadableBarError

SUFFIXES = (".csv", ".csv.gz", ".parquet")
DAY_SECONDS = 86_400

_ALIASES = {
    "symbol": ("symbol", "ticker", "code"),
    "timestamp": ("timestamp", "datetime", "date", "time"),
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "close": ("close",),
    "volume": ("volume", "vol"),
}
_SHARE: TypeAdapter[str] = TypeAdapter(Symbol)
_SHARE_OR_PAIR: TypeAdapter[str] = TypeAdapter(Instrument)
_NUMBERS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class FileFormat:
    """What a file does not say about itself.

    Args:
        symbol: of all rows, where there is no column for it; empty: the file's name says it.
        time_format: as for `strptime`; empty for ISO 8601.
        with_crypto: take pairs such as BTCUSDT as well as shares.
    """

    symbol: str = ""
    time_format: str = ""
    with_crypto: bool = False


@dataclass(slots=True)
class Recording:
    """Bars in the order of their time, and an error for each row that was refused."""

    bars: list[BarClosed] = field(default_factory=list)
    refused: list[BarError] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Row:
    place: str
    symbol: str
    timestamp: datetime
    numbers: dict[str, float]


def read_recording(
    path: Path, form: FileFormat, symbols: frozenset[str] | None = None
) -> Recording:
    """The bars of a file, of all files in a folder, or of a bar store.

    Times without a zone are UTC. The length of an instrument's bars is the shortest step between
    two of them; a day, if there is but one.

    Args:
        path: file, folder of files, or a bar store's folder.
        form: what the file does not say.
        symbols: the instruments that are watched; None for any.

    Raises:
        BarFileError: there is no such file, it is none of `SUFFIXES`, a column is missing, it
            holds no usable bar, or arro3 is needed and missing.
    """
    if any((path / "bars").glob("market=*")):
        return _stored(path, form, symbols)
    recording = Recording()
    rows: list[_Row] = []
    for file in _files(path):
        symbol = form.symbol or _symbol_of(file)
        for place, raw in _raw_rows(file):
            try:
                rows.append(_row(place, raw, symbol, form))
            except BarError as error:
                recording.refused.append(error)
    sequence = BarSequence(symbols)
    intervals = _intervals(rows)
    for row in rows:
        try:
            bar = _bar(row, intervals[row.symbol])
            sequence.admit(bar)
        except BarError as error:
            # The same error, told with its place in the file.
            error.args = (f"{row.place}: {error}",)
            recording.refused.append(error)
        else:
            recording.bars.append(bar)
    if not recording.bars:
        first = f"; the first refused: {recording.refused[0]}" if recording.refused else ""
        raise BarFileError(f"{path} holds no usable bar{first}")
    recording.bars.sort(key=lambda bar: bar.timestamp)
    return recording


def _stored(path: Path, form: FileFormat, symbols: frozenset[str] | None) -> Recording:
    try:
        from streamdesk.market.recordings.stored import read_stored  # noqa: PLC0415 - as `parquet`
    except ImportError as error:
        raise _without_arro3(f"{path} is a bar store") from error
    return read_stored(path, form, symbols)


def _without_arro3(what: str) -> BarFileError:
    return BarFileError(
        f"{what} and arro3 is not installed; install streamdesk-market[parquet], or use CSV"
    )


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.name.lower().endswith(SUFFIXES))
        if not files:
            raise BarFileError(f"no file in {path} is one of {', '.join(SUFFIXES)}")
        return files
    if not path.is_file():
        raise BarFileError(f"there is no file {path}")
    if not path.name.lower().endswith(SUFFIXES):
        raise BarFileError(f"{path} is none of {', '.join(SUFFIXES)}")
    return [path]


def _raw_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every row by the names of `_ALIASES`, with its place in the file."""
    source = _parquet_rows if path.name.lower().endswith(".parquet") else _csv_rows
    try:
        yield from source(path)
    except (OSError, EOFError, UnicodeError, csv.Error) as error:
        raise BarFileError(f"{path} cannot be read: {error}") from error


def _csv_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    opener: Any = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        columns = _columns(path, reader.fieldnames or ())
        for raw in reader:
            yield f"{path.name} line {reader.line_num}", _named(columns, raw)


def _parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        from streamdesk.market.recordings.parquet import batches  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise _without_arro3(f"{path} is a Parquet file") from error
    number = 0
    for batch in batches(path):
        columns = _columns(path, batch.schema.names)
        wanted = [name for names in columns.values() for name in names]
        values = [batch.column(name).to_pylist() for name in wanted]
        for row in zip(*values, strict=True):
            number += 1
            yield f"{path.name} row {number}", _named(columns, dict(zip(wanted, row, strict=True)))


def _columns(path: Path, header: Iterable[str | None]) -> dict[str, list[str]]:
    """By our name, the file's columns; two where day and time of day stand apart."""
    spelled = {name.strip().lower(): name for name in header if name}
    found = {
        ours: [spelled[alias] for alias in aliases if alias in spelled]
        for ours, aliases in _ALIASES.items()
    }
    missing = [ours for ours, names in found.items() if not names and ours != "symbol"]
    if missing:
        raise BarFileError(
            f"{path} has no column {', '.join(missing)}; it has: {', '.join(spelled) or 'none'}"
        )
    days_apart = {"date", "time"} <= spelled.keys() and not {
        "timestamp",
        "datetime",
    } & spelled.keys()
    found["timestamp"] = found["timestamp"][: 2 if days_apart else 1]
    return {ours: names if ours == "timestamp" else names[:1] for ours, names in found.items()}


def _named(columns: Mapping[str, list[str]], raw: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {ours: raw[names[0]] for ours, names in columns.items() if names}
    stamp = columns["timestamp"]
    if len(stamp) > 1:
        values["timestamp"] = " ".join(str(raw[name]) for name in stamp)
    return values


def _row(place: str, raw: Mapping[str, Any], file_symbol: str, form: FileFormat) -> _Row:
    symbol = str(raw["symbol"] or "").strip().upper() if "symbol" in raw else file_symbol.upper()
    try:
        (_SHARE_OR_PAIR if form.with_crypto else _SHARE).validate_python(symbol)
    except ValidationError:
        like = "AAPL.US, 700.HK or BTCUSDT" if form.with_crypto else "AAPL.US or 700.HK"
        where = "in its column" if "symbol" in raw else "in FEED_SYMBOL or as the file's name"
        raise UnreadableBarError(
            f"{place}: symbol is {symbol!r}; expected one like {like} {where}"
        ) from None
    return _Row(
        place=place,
        symbol=symbol,
        timestamp=_timestamp(place, raw["timestamp"], form.time_format),
        numbers={name: _number(place, name, raw[name]) for name in _NUMBERS},
    )


def _symbol_of(path: Path) -> str:
    """`700.HK.csv` holds 700.HK."""
    name = path.name
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _number(place: str, name: str, value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        shown = "missing" if value in {None, ""} else repr(str(value)[:40])
        raise UnreadableBarError(f"{place}: {name} is {shown}; expected a number") from None


def _timestamp(place: str, value: object, form: str) -> datetime:
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime.combine(value, time())
    else:
        try:
            text = str(value).strip()
            moment = (
                datetime.strptime(text, form)  # noqa: DTZ007 - the zone is added below
                if form
                else datetime.fromisoformat(text)
            )
        except ValueError:
            expected = f"a time like {form!r} (FEED_TIME_FORMAT)" if form else "an ISO 8601 time"
            raise UnreadableBarError(
                f"{place}: time is {str(value)[:40]!r}; expected {expected}"
            ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _intervals(rows: Iterable[_Row]) -> dict[str, int]:
    times: dict[str, list[datetime]] = defaultdict(list)
    for row in rows:
        times[row.symbol].append(row.timestamp)
    return {symbol: usual_interval_seconds(seen, DAY_SECONDS) for symbol, seen in times.items()}


def _bar(row: _Row, interval_seconds: int) -> BarClosed:
    numbers = row.numbers
    return make_bar(
        symbol=row.symbol,
        timestamp=row.timestamp,
        interval_seconds=interval_seconds,
        open_=numbers["open"],
        high=numbers["high"],
        low=numbers["low"],
        close=numbers["close"],
        volume=numbers["volume"],
    )
