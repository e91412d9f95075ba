"""What the job and its processes say to each other over pipes."""

import pickle
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamdesk.analysis.domain.chunk import ChunkBars, ChunkValues

LENGTH = struct.Struct("!Q")
"""Before each message: how many bytes it has."""


@dataclass(frozen=True, slots=True)
class ChunkRequest:
    """Compute this, and write it there.

    Args:
        bars: of the stocks of a chunk.
        file: where the values go.
    """

    bars: ChunkBars
    file: Path


@dataclass(frozen=True, slots=True)
class ChunkReply:
    """What became of a request.

    Args:
        values: what was computed and written; None where that was not possible.
        checksum: of the file.
        problem: why it was not.
    """

    values: ChunkValues | None
    checksum: int = 0
    problem: str = ""


def packed(message: ChunkRequest | ChunkReply) -> bytes:
    """A message as it travels."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(body)) + body


def unpacked(body: bytes) -> Any:  # noqa: ANN401 - a ChunkRequest or a ChunkReply
    """The message; only for what our own process sent over a pipe of ours."""
    return pickle.loads(body)  # noqa: S301 - see above
