"""A process that computes chunks: bars come on standard input, values leave on standard output.

It ends when its input does: also when the job was killed, so that none is left behind. What it
writes is a temporary file, which counts once the job has given it its name.
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
    """Answer one request after the other until there are no more."""
    while head := requests.read(LENGTH.size):
        body = requests.read(LENGTH.unpack(head)[0])
        replies.write(packed(_answer(unpacked(body))))
        replies.flush()


def _answer(request: ChunkRequest) -> ChunkReply:
    try:
        values = compute(request.bars)
        checksum = write_part(request.file, values)
    except Exception as error:  # noqa: BLE001 - the job must hear of it, whatever it is
        traceback.print_exc()
        return ChunkReply(None, problem=f"{type(error).__name__}: {error}")
    return ChunkReply(values, checksum)


def main() -> None:
    """Serve on the standard streams."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the job; the end of input ends us
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no reply
    try:
        serve(sys.stdin.buffer, replies)
    except (BrokenPipeError, EOFError, pickle.UnpicklingError, struct.error):
        os._exit(1)  # the job is gone; nobody reads what closing would write


if __name__ == "__main__":
    main()
