"""The layout of the store's folder, and which of its files count.

    bars/market=US/interval=60/day=2026-11-20/part-<written>-<rows>-<token>-<crc32>.parquet

A part never changes once it has its name, which holds everything that is needed before it is
opened. Other files are ignored. Parts of a day are merged from time to time (`upkeep.py`): the
merged part is put beside them, then the mark is changed, then they are removed. So a reader that
finds the same mark before and after it listed a day has seen all its bars: if it missed any that
were removed, the part that has them now was there before it began. A crash in between leaves bars
in two parts; each row has the time of its writing, and the later one counts (`rows.py`).
"""

import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Self

from streamdesk.market.errors import StoreError
from streamdesk.market.store.files import write_durably

_PART = re.compile(
    r"part-(?P<written>\d{1,20})-(?P<rows>\d+)-(?P<token>[0-9a-f]{8})-(?P<crc>[0-9a-f]{8})\.parquet"
)


@dataclass(frozen=True, slots=True)
class PartFile:
    """One file of bars.

    Args:
        path: the file.
        written: when its newest rows were written, ns since 1970.
        rows: how many bars are in it.
        crc32: checksum of the file's bytes.
    """

    path: Path
    written: int
    rows: int
    crc32: int

    @classmethod
    def new(cls, folder: Path, written: int, rows: int, crc32: int) -> Self:
        """A part with a name that no other has."""
        name = f"part-{written}-{rows}-{secrets.token_hex(4)}-{crc32:08x}.parquet"
        return cls(folder / name, written, rows, crc32)

    @classmethod
    def at(cls, folder: Path, name: str) -> Self | None:
        """The part of this name; None for any other name."""
        found = _PART.fullmatch(name)
        if found is None:
            return None
        return cls(folder / name, int(found["written"]), int(found["rows"]), int(found["crc"], 16))


@dataclass(frozen=True, slots=True)
class Partition:
    """All bars of one market and one length.

    Args:
        root: the folder `bars`.
        market: as `market_of` has it.
        interval_seconds: length of a bar.
    """

    root: Path
    market: str
    interval_seconds: int

    @property
    def folder(self) -> Path:
        """The folder of its days."""
        return self.root / f"market={self.market}" / f"interval={self.interval_seconds}"

    def day(self, day: date) -> Path:
        """The folder of a day."""
        return self.folder / f"day={day.isoformat()}"

    def days(self) -> list[date]:
        """Days that have a folder, oldest first."""
        return sorted(
            day for value in _values(self.folder, "day") if (day := _date(value)) is not None
        )

    def parts(self, day: date) -> list[PartFile]:
        """The parts that hold every bar of a day, in the order of their writing.

        A part may be removed before it is opened: then list them again.

        Raises:
            StoreError: the folder cannot be read.
        """
        folder = self.day(day)
        # A merge in between may show neither the old parts nor the new one: the mark tells, and the
        # listing is repeated.
        while True:
            mark = _mark(self.root)
            parts = [
                part for name in _names(folder) if (part := PartFile.at(folder, name)) is not None
            ]
            if _mark(self.root) == mark:
                return sorted(parts, key=lambda part: (part.written, part.path.name))


def partitions(root: Path) -> Iterator[Partition]:
    """All partitions of a store, by name."""
    for market in sorted(_values(root, "market")):
        intervals = _values(root / f"market={market}", "interval")
        for interval in sorted(int(value) for value in intervals if value.isdigit()):
            yield Partition(root, market, interval)


def change_mark(root: Path) -> None:
    """Tell readers that parts are about to be removed whose bars are in another part.

    Raises:
        StoreError: the mark cannot be written.
    """
    write_durably(_mark_file(root), secrets.token_bytes(16))


def _mark_file(root: Path) -> Path:
    return root / ".mark"


def _mark(root: Path) -> bytes:
    try:
        return _mark_file(root).read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise StoreError(f"{_mark_file(root)} cannot be read: {error}") from error


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are all that is needed, of thousands
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f"{folder} cannot be read: {error}; check its owner") from error


def _values(folder: Path, key: str) -> list[str]:
    start = f"{key}="
    return [name.removeprefix(start) for name in _names(folder) if name.startswith(start)]


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
