"""Merges small parts and removes old days, in one process; no reader or writer waits for it."""

import contextlib
import zlib
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

from streamdesk.market.errors import StoreError
from streamdesk.market.store.files import remove_left_behind, sole, sync_folder, write_durably
from streamdesk.market.store.layout import PartFile, Partition, change_mark, partitions
from streamdesk.market.store.reading import read_part
from streamdesk.market.store.rows import merged, to_parquet

ROWS_OF_A_PART = 250_000
"""A merged part has no more rows than this: a merge needs three times 60 bytes a row in memory."""
PARTS_OF_A_SIZE = 8
"""So many parts of like size are merged on the newest day. A bar is rewritten once for each factor
of eight that its day grows by, and the day has some eight parts of each size."""

_LOCK = ".upkeep-lock"


def compact(root: Path) -> int:
    """Merge parts and remove what dead writers left; return how many parts fewer there are.

    Does nothing while another process does.

    Raises:
        StoreError: parts of some day cannot be read or written; all other days are done.
    """
    with sole(root / _LOCK) as ours:
        if not ours:
            return 0
        remove_left_behind(root)
        merged_away = 0
        failure: Exception | None = None
        for partition in partitions(root):
            days = partition.days()
            for day in days:
                try:
                    merged_away += _compact_day(partition, day, settled=day != days[-1])
                except (StoreError, OSError) as error:
                    failure = failure or error
        if failure is not None:
            raise StoreError(f"not all parts are merged: {failure}") from failure
        return merged_away


def _compact_day(partition: Partition, day: date, *, settled: bool) -> int:
    remove_left_behind(partition.day(day))
    merged_away = 0
    for group in plan(partition.parts(day), settled=settled):
        _merge(partition, day, group)
        merged_away += len(group) - 1
    return merged_away


def plan(parts: Sequence[PartFile], *, settled: bool) -> Iterator[list[PartFile]]:
    """The groups of parts of a day to merge.

    Args:
        parts: all there are.
        settled: the day is over, so that all its parts are merged, not only many of a size.
    """
    sizes: dict[int, list[PartFile]] = {}
    for part in sorted(parts, key=lambda part: part.rows):
        size = 0 if settled else part.rows.bit_length() // 3  # a factor of eight
        sizes.setdefault(size, []).append(part)
    for alike in sizes.values():
        group: list[PartFile] = []
        rows = 0
        # The smallest first: they cost least to rewrite and are most of the files.
        for part in alike:
            if group and rows + part.rows > ROWS_OF_A_PART:
                break
            group.append(part)
            rows += part.rows
        if len(group) >= (2 if settled else PARTS_OF_A_SIZE):
            yield group


def _merge(partition: Partition, day: date, group: Sequence[PartFile]) -> None:
    """Replace several parts by one; at every moment each bar is in at least one."""
    rows = merged([read_part(part) for part in group])
    content = to_parquet(rows)
    part = PartFile.new(
        partition.day(day), max(part.written for part in group), len(rows), zlib.crc32(content)
    )
    write_durably(part.path, content)
    change_mark(partition.root)
    for old in group:
        old.path.unlink(missing_ok=True)


def prune(root: Path, keep_days: int, today: date) -> int:
    """Remove days; return how many.

    The days are counted back from the newest that is stored, or from today if that is earlier: so
    neither a recording of old bars, nor a clock or a bar that is years ahead, removes the rest.
    Does nothing while another process does.

    Raises:
        StoreError: something cannot be removed.
    """
    with sole(root / _LOCK) as ours:
        if not ours:
            return 0
        removed = 0
        for partition in partitions(root):
            days = partition.days()
            if not days:
                continue
            first = min(days[-1], today) - timedelta(days=keep_days - 1)
            for day in (day for day in days if day < first):
                removed += _remove_day(partition, day)
        return removed


def _remove_day(partition: Partition, day: date) -> bool:
    folder = partition.day(day)
    try:
        remove_left_behind(folder)
        for part in partition.parts(day):
            part.path.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()
        sync_folder(partition.folder)
    except OSError as error:
        if any(folder.glob("*")):
            return False  # a writer is at it: the next prune removes it
        raise StoreError(f"{folder} cannot be removed: {error}; check its owner") from error
    return True
