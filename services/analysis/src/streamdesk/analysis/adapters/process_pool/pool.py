"""Processes that compute chunks, one a core.

`multiprocessing` is not used: its processes outlive a killed parent, and import all that the main
module of the parent imports. These processes end with the pipe that feeds them.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from streamdesk.analysis.adapters.process_pool.messages import (
    LENGTH,
    ChunkReply,
    ChunkRequest,
    packed,
    unpacked,
)
from streamdesk.analysis.domain.chunk import ChunkBars, ChunkValues
from streamdesk.analysis.errors import JobError, WorkerLostError

MODULE = "streamdesk.analysis.adapters.process_pool.worker"
END_SECONDS = 5.0


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class ChunkWorker:
    """One process; it answers one request after the other."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Use `ChunkWorker.start`."""
        self._process = process

    @classmethod
    async def start(cls) -> Self:
        """Start the process; does not wait for its imports."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            MODULE,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return cls(process)

    async def compute(self, bars: ChunkBars, file: Path) -> tuple[ChunkValues, int]:
        """Have a chunk computed and written; returns its values and the checksum of the file.

        Raises:
            WorkerLostError: the process ended.
            JobError: the file could not be written.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise WorkerLostError("a process of the job has no pipes")
        try:
            if stdin.is_closing():
                raise ConnectionResetError  # uvloop's own error would not be caught below
            stdin.write(packed(ChunkRequest(bars, file)))
            await stdin.drain()
            (length,) = LENGTH.unpack(await stdout.readexactly(LENGTH.size))
            reply: ChunkReply = unpacked(await stdout.readexactly(length))
        except (ConnectionError, asyncio.IncompleteReadError):
            code = await self._process.wait()
            raise WorkerLostError(
                f"a process of the job ended with code {code} in the chunk from "
                f"{bars.symbols[0]} to {bars.symbols[-1]}; has the machine enough memory? "
                "Run the job again: it resumes there"
            ) from None
        if reply.values is None:
            raise JobError(f"a result file cannot be written: {reply.problem}")
        return reply.values, reply.checksum

    async def close(self) -> None:
        """End the process: it gets a few seconds, then it is killed."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


class ProcessPool:
    """Computes chunks in processes that live as long as the call.

    Args:
        size: most processes; 0 for one a core.
    """

    def __init__(self, size: int = 0) -> None:
        self._size = size or cores()

    async def compute(
        self,
        numbers: Collection[int],
        bars_of: Callable[[int], ChunkBars],
        file_of: Callable[[int], Path],
        done: Callable[[int, ChunkValues, int], Awaitable[None]],
    ) -> None:
        """Compute chunks, as many concurrently as there are processes.

        Args:
            numbers: of the chunks.
            bars_of: returns the bars of a chunk.
            file_of: returns the file that its values are written to.
            done: called for each chunk that is written, with the checksum of its file.

        Raises:
            WorkerLostError: a process ended.
            JobError: a file could not be written.
        """
        if not numbers:
            return
        waiting = iter(numbers)

        async def work(worker: ChunkWorker) -> None:
            for number in waiting:  # one iterator for all: each takes the next chunk
                await done(number, *await worker.compute(bars_of(number), file_of(number)))

        async with _started(min(self._size, len(numbers))) as workers:
            try:
                async with asyncio.TaskGroup() as group:
                    for worker in workers:
                        group.create_task(work(worker))
            except BaseExceptionGroup as problems:
                raise problems.exceptions[0] from None  # the first: the others follow from it


@asynccontextmanager
async def _started(count: int) -> AsyncIterator[list[ChunkWorker]]:
    """Processes that live as long as the context."""
    workers: list[ChunkWorker] = []
    try:
        for _ in range(count):
            workers.append(await ChunkWorker.start())  # noqa: PERF401 - those begun must be ended
        yield workers
    finally:
        await asyncio.gather(*(worker.close() for worker in workers))
