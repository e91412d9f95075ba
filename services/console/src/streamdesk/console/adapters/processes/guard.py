"""The console's end of the watchdog: see `watchdog.py`."""

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("watchdog.py")


class Guard:
    """Keeps a watchdog running and reports to it which process groups are ours.

    A watchdog that dies is replaced at once, and the new one gets the whole list.

    Args:
        inherit: file descriptors the watchdog keeps open, such as the folder's lock: it is then
            held until the last process is gone, even when this process was killed.
    """

    def __init__(self, inherit: tuple[int, ...] = ()) -> None:
        self._inherit = inherit
        self._groups: set[int] = set()
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the watchdog; returns when it takes messages."""
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep(), name="watchdog")

    async def add(self, group: int) -> None:
        """From now on `group` is ended when this process dies."""
        self._groups.add(group)
        await self._send(f"+{group}\n")

    async def remove(self, group: int) -> None:
        """`group` has ended; its number may be reused by another process."""
        self._groups.discard(group)
        await self._send(f"-{group}\n")

    async def close(self) -> None:
        """Let the watchdog go; it ends whatever is still listed."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._process:
            pipe = self._process.stdin
            if pipe:
                pipe.close()
                with contextlib.suppress(OSError):
                    await pipe.wait_closed()
            await self._process.wait()

    @property
    def pid(self) -> int | None:
        """Process id of the watchdog."""
        return self._process.pid if self._process else None

    async def _spawn(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(PROGRAM)),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=self._inherit,
        )
        await self._send("".join(f"+{group}\n" for group in sorted(self._groups)))

    async def _keep(self) -> None:
        while self._process:
            await self._process.wait()
            await self._spawn()

    async def _send(self, text: str) -> None:
        pipe = self._process.stdin if self._process else None
        if pipe is None or not text:
            return
        # A watchdog that just died is replaced by _keep, which gives the new one the whole list.
        with contextlib.suppress(OSError):
            pipe.write(text.encode())
            await pipe.drain()
