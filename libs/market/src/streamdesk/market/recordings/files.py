"""Bars of CSV and Parquet files.

A row that cannot be used becomes an error with its place; only a file that cannot be used at all
raises.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from streamdesk.contracts.events import BarClosed
from streamdesk.contracts.fields import InstrumentSymbol, Symbol
from streamdesk.market.bars import BarSequence, make_bar, usual_interval_seconds
from streamdesk.market.errors import BarError, BarFileError, UnreadableBarError
from streamdesk.market.recordings.recording import BarRecording, FileFormat
from streamdesk.market.recordings.tables import SUFFIXES, raw_rows

DAY_SECONDS = 86_400

_SHARE: TypeAdapter[str] = TypeAdapter(Symbol)
_SHARE_OR_PAIR: TypeAdapter[str] = TypeAdapter(InstrumentSymbol)
_NUMBERS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class _Row:
    place: str
    symbol: str
    timestamp: datetime
    numbers: dict[str, float]


def read_files(path: Path, form: FileFormat, symbols: frozenset[str] | None = None) -> BarRecording:
    """The bars of a file, or of all files in a folder; see `read_recording`."""
    recording = BarRecording()
    rows = _rows(path, form, recording)
    sequence = BarSequence(symbols)
    # Only all rows together show the length of an instrument's bars, so no bar is made before.
    intervals = _intervals(rows)
    for row in rows:
        try:
            bar = _bar(row, intervals[row.symbol])
            sequence.admit(bar)
        except BarError as error:
            # The same error, with its place in the file.
            error.args = (f"{row.place}: {error}",)
            recording.refused.append(error)
        else:
            recording.bars.append(bar)
    if not recording.bars:
        first = f"; the first refused: {recording.refused[0]}" if recording.refused else ""
        raise BarFileError(f"{path} holds no usable bar{first}")
    # The files stand one after another, and their times overlap.
    recording.bars.sort(key=lambda bar: bar.timestamp)
    return recording


def _rows(path: Path, form: FileFormat, recording: BarRecording) -> list[_Row]:
    """The readable rows of all files; the others are refused in the recording."""
    rows: list[_Row] = []
    for file in _files(path):
        symbol = form.symbol or _symbol_of(file)
        for place, raw in raw_rows(file):
            try:
                rows.append(_row(place, raw, symbol, form))
            except BarError as error:
                recording.refused.append(error)
    return rows


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


def _row(place: str, raw: Mapping[str, Any], file_symbol: str, form: FileFormat) -> _Row:
    given = str(raw["symbol"] or "").strip() if "symbol" in raw else file_symbol
    try:
        symbol = (_SHARE_OR_PAIR if form.with_crypto else _SHARE).validate_python(given)
    except ValidationError:
        like = "AAPL.US, 700.HK or BTCUSDT" if form.with_crypto else "AAPL.US or 700.HK"
        where = "in its column" if "symbol" in raw else "in FEED_SYMBOL or as the file's name"
        raise UnreadableBarError(
            f"{place}: symbol is {given!r}; expected one like {like} {where}"
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
