"""The messages between the job and its processes, over pipes."""

import pickle
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamdesk.analysis.domain.chunk import ChunkBars, ChunkValues

LENGTH = struct.Struct("!Q")
"""Before each message: its length in bytes."""


@dataclass(frozen=True, slots=True)
class ChunkRequest:
    """A chunk to compute.

    Args:
        bars: of the stocks of the chunk.
        file: the file that the values are written to.
    """

    bars: ChunkBars
    file: Path


@dataclass(frozen=True, slots=True)
class ChunkReply:
    """The outcome of a request.

    Args:
        values: computed and written; None if that failed.
        checksum: of the file.
        problem: why it failed.
    """

    values: ChunkValues | None
    checksum: int = 0
    problem: str = ""


def packed(message: ChunkRequest | ChunkReply) -> bytes:
    """A message as bytes, with its length in front."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(body)) + body


def unpacked(body: bytes) -> Any:  # noqa: ANN401 - a ChunkRequest or a ChunkReply
    """The message of these bytes, which must come from a process of the job."""
    return pickle.loads(body)  # noqa: S301 - the bytes come over a pipe of this process
