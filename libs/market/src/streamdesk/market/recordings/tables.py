"""Rows of CSV (plain or gzip) and Parquet files, by the names of our columns."""

import csv
import gzip
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from streamdesk.market.errors import BarFileError

SUFFIXES = (".csv", ".csv.gz", ".parquet")

_ALIASES = {
    "symbol": ("symbol", "ticker", "code"),
    "timestamp": ("timestamp", "datetime", "date", "time"),
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "close": ("close",),
    "volume": ("volume", "vol"),
}


def raw_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every row by the names of our columns, with its place in the file.

    Raises:
        BarFileError: the file cannot be read, or a column is missing.
    """
    source = _parquet_rows if path.name.lower().endswith(".parquet") else _csv_rows
    try:
        yield from source(path)
    except (OSError, EOFError, UnicodeError, csv.Error) as error:
        raise BarFileError(f"{path} cannot be read: {error}") from error


def without_arro3(what: str) -> BarFileError:
    """The error where arro3 is needed and missing.

    Args:
        what: the file or folder and what it is, as the beginning of a sentence.
    """
    return BarFileError(
        f"{what} and arro3 is not installed; install streamdesk-market[parquet], or use CSV"
    )


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
        raise without_arro3(f"{path} is a Parquet file") from error
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
    _check_complete(path, found, spelled)
    # Of several columns for one thing the first alias is the most exact.
    chosen = {ours: names[:1] for ours, names in found.items()}
    if _has_time_apart(spelled.keys()):
        chosen["timestamp"] = found["timestamp"][:2]
    return chosen


def _check_complete(path: Path, found: Mapping[str, list[str]], header: Iterable[str]) -> None:
    # Only the symbol can come from elsewhere: the format or the name of the file.
    missing = [ours for ours, names in found.items() if not names and ours != "symbol"]
    if missing:
        raise BarFileError(
            f"{path} has no column {', '.join(missing)}; it has: {', '.join(header) or 'none'}"
        )


def _has_time_apart(names: AbstractSet[str]) -> bool:
    """Whether the time of a bar is in two columns: the day, and the time of day."""
    return {"date", "time"} <= names and names.isdisjoint({"timestamp", "datetime"})


def _named(columns: Mapping[str, list[str]], raw: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {ours: raw[names[0]] for ours, names in columns.items() if names}
    stamp = columns["timestamp"]
    if len(stamp) > 1:
        values["timestamp"] = " ".join(str(raw[name]) for name in stamp)
    return values
