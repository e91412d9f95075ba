"""The process that computes chunks: bars on standard input, values on standard output.

It ends when its input ends, so that it does not outlive a killed job. It writes temporary files; a
file counts once the job has renamed it.
"""

import os
import pickle
import signal
import struct
import sys
import traceback
from typing import BinaryIO

from streamdesk.analysis.adapters.process_pool.messages import (
    LENGTH,
    ChunkReply,
    ChunkRequest,
    packed,
    unpacked,
)
from streamdesk.analysis.adapters.run_folder.part_files import write_part
from streamdesk.analysis.domain.chunk import compute


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until the input ends."""
    while head := requests.read(LENGTH.size):
        body = requests.read(LENGTH.unpack(head)[0])
        replies.write(packed(_answer(unpacked(body))))
        replies.flush()


def _answer(request: ChunkRequest) -> ChunkReply:
    try:
        values = compute(request.bars)
        checksum = write_part(request.file, values)
    except Exception as error:  # noqa: BLE001 - any failure is reported to the job
        traceback.print_exc()
        return ChunkReply(None, problem=f"{type(error).__name__}: {error}")
    return ChunkReply(values, checksum)


def main() -> None:
    """Serve on the standard streams."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the job handles Ctrl-C, and ends the input
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(
        sys.stderr.fileno(), sys.stdout.fileno()
    )  # output of a library must not mix with replies
    try:
        serve(sys.stdin.buffer, replies)
    except (BrokenPipeError, EOFError, pickle.UnpicklingError, struct.error):
        os._exit(1)  # the job ended: flushing the streams would fail again


if __name__ == "__main__":
    main()
