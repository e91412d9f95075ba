"""Reads Parquet files through arro3, which trusts their content; needs an extra.

A damaged file makes arro3 panic, and in some places end the process. So a child process reads each
file once before this process does. (The bar store has checksums instead.)
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from arro3.core import RecordBatch
from arro3.io import read_parquet

from streamdesk.market.errors import BarFileError

MAGIC = b"PAR1"
"""A Parquet file begins and ends with it; before the end stands the length of the footer."""

LONGEST_CHECK_SECONDS = 600.0

_LENGTH_BYTES = 4
# A program that imports arro3 alone begins at once.
_READ_ALL = """
import sys
from arro3.io import read_parquet
for batch in read_parquet(sys.argv[1]):
    for name in batch.schema.names:
        batch.column(name).to_pylist()
"""


def batches(path: Path) -> Iterator[RecordBatch]:
    """The rows of a file, in batches of some thousands.

    Raises:
        BarFileError: it is not a Parquet file, or is damaged.
        OSError: it cannot be opened.
    """
    _check_ends(path)
    _check_all(path)
    yield from read_parquet(path)


def _check_ends(path: Path) -> None:
    """Refuse a file of another kind or one that was cut off, as most damaged files are."""
    size_bytes = path.stat().st_size
    ends = len(MAGIC) + _LENGTH_BYTES
    with path.open("rb") as file:
        head = file.read(len(MAGIC))
        file.seek(max(0, size_bytes - ends))
        tail = file.read(ends)
    footer = int.from_bytes(tail[:_LENGTH_BYTES], "little")
    whole = head == MAGIC == tail[_LENGTH_BYTES:] and footer + ends + len(MAGIC) <= size_bytes
    if not whole:
        raise BarFileError(f"{path} cannot be read: it is no Parquet file, or a part of one")


def _check_all(path: Path) -> None:
    """Refuse a file that a child process could not read to the end."""
    try:
        done = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-I", "-c", _READ_ALL, str(path)],
            capture_output=True,
            timeout=LONGEST_CHECK_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BarFileError(
            f"{path} cannot be read: it was not read in {LONGEST_CHECK_SECONDS:.0f} s; split it"
        ) from error
    if done.returncode:
        raise BarFileError(f"{path} cannot be read: it is damaged; write it again")
