"""Result files: Parquet, one row a stock.

Columns: `symbol`; `timestamp`, the end of its last bar (UTC); `bars`, the number of bars that the
values are from; one column for each value, NaN where a stock has too few bars for it; `error`,
empty where there is none.

The name of a file ends in the checksum of its bytes: arro3 does not validate files, and a damaged
one may crash the process.
"""

import os
import zlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from arro3.core import Array, ChunkedArray, DataType, Table
from arro3.io import read_parquet, write_parquet
from numpy.typing import NDArray

from streamdesk.analysis.domain.chunk import ChunkValues
from streamdesk.analysis.domain.job import VALUES
from streamdesk.analysis.errors import JobError

if TYPE_CHECKING:
    from arro3.core.types import ArrayInput, ArrowStreamExportable

_TIME = DataType.timestamp("ms", tz="UTC")


def part_name(number: int, checksum: int) -> str:
    """The name of the result file of a chunk."""
    return f"part-{number:04}-{checksum:08x}.parquet"


def write_part(path: Path, chunk: ChunkValues) -> int:
    """Write a chunk's values to disk, under any name; returns the checksum of the file."""
    columns: dict[str, ArrayInput | ArrowStreamExportable] = {
        "symbol": Array(chunk.symbols, type=DataType.utf8()),
        "timestamp": Array.from_numpy(chunk.as_of).cast(_TIME),
        "bars": Array.from_numpy(chunk.counts),
        **{
            name: Array.from_numpy(np.ascontiguousarray(chunk.values[:, at]))
            for at, name in enumerate(VALUES)
        },
        "error": Array(chunk.errors, type=DataType.utf8()),
    }
    content = BytesIO()
    write_parquet(Table.from_pydict(columns), content, compression="zstd(1)")
    with path.open("wb") as file:
        file.write(content.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    return zlib.crc32(content.getbuffer())


def read_part(path: Path) -> ChunkValues:
    """Read a file of `write_part`, under the name of `part_name`.

    Raises:
        JobError: it is damaged.
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    if not path.stem.endswith(f"-{zlib.crc32(content):08x}"):
        raise JobError(
            f"the result file {path} is damaged: its checksum is not the one in its name; remove "
            "it, and the next run computes its stocks again"
        )
    table = read_parquet(content).read_all()
    return ChunkValues(
        symbols=tuple(table["symbol"].to_pylist()),
        counts=_numpy(table["bars"]),
        as_of=_numpy(table["timestamp"].cast(DataType.int64())),
        values=np.column_stack([_numpy(table[name]) for name in VALUES]),
        errors=tuple(table["error"].to_pylist()),
    )


def _numpy(column: ChunkedArray) -> NDArray[Any]:
    return np.array(column.to_numpy())
