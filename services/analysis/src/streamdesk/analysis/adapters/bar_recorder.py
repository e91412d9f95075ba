"""Records the bars of the bus in the bar store, with the position reached.

The bus is read without a group: bars that no recorder takes must not fill the server and stop the
feed. The position is written beside the bars, after them, so that a killed recorder resumes where
its bars end. A few bars may be written twice: of two rows of one bar the store counts one.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from streamdesk.bus import Bus, Message
from streamdesk.contracts.base import Topic
from streamdesk.contracts.events import BarClosed
from streamdesk.market import StoreError
from streamdesk.market.store import BarStore
from streamdesk.market.store.files import sole, write_durably
from streamdesk.runtime import Drain, logger, metrics

log = logger(__name__)
T = TypeVar("T")

START = "0"  # all that the stream still has
MOST_WAITING_BARS = 50_000
"""Bars in memory while the disk cannot be written; the rest stays on the bus."""
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0


class BarRecorder:
    """Writes every bar of the bus to one folder. Of several recorders of a folder, one writes.

    Args:
        bus: the source of the bars.
        topic: the topic of the bars.
        store: where they are written.
        keep_days: days that stay in the store.
        write_every_seconds: shortest time between two writes: each makes a file for each market
            and day.
        tidy_every_seconds: time between two merges of small files and removals of old days.
    """

    def __init__(
        self,
        bus: Bus,
        topic: Topic[BarClosed],
        store: BarStore,
        *,
        keep_days: int,
        write_every_seconds: float = 1.0,
        tidy_every_seconds: float = 60.0,
    ) -> None:
        self._bus = bus
        self._topic = topic
        self._store = store
        self._cursor_file = store.folder / f"recorded-{topic.key.replace(':', '-')}"
        self._keep_days = keep_days
        self._write_every_seconds = write_every_seconds
        self._tidy_every_seconds = tidy_every_seconds
        self._waiting: list[Message[BarClosed]] = []
        self._room = asyncio.Event()

    async def run(self, drain: Drain) -> None:
        """Record and tidy the store until the drain is requested."""
        lock = self._cursor_file.with_suffix(".lock")
        while not drain.requested.is_set():
            try:
                with sole(lock) as ours:
                    # Another replica with the same folder may record; look again until it ends.
                    if ours:
                        await self._record(drain)
                        return
            except StoreError as error:
                self._failed(error)
            await drain.sleep(self._write_every_seconds)

    async def _record(self, drain: Drain) -> None:
        since = await self._retried(self._cursor, drain)
        if since is None:
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(since, drain))
            tasks.create_task(self._write_rounds(drain))
            tasks.create_task(self._keep_tidy(drain))

    def _cursor(self) -> str:
        with suppress(FileNotFoundError):
            return self._cursor_file.read_text().strip() or START
        return START

    async def _follow(self, since: str, drain: Drain) -> None:
        async for message in self._bus.tail(self._topic, since=since, stop=drain.requested):
            self._waiting.append(message)
            while len(self._waiting) >= MOST_WAITING_BARS and not drain.requested.is_set():
                self._room.clear()
                await self._room.wait()

    async def _write_rounds(self, drain: Drain) -> None:
        is_last = False
        while not is_last:
            is_last = await drain.sleep(self._write_every_seconds)
            ready, self._waiting = self._waiting, []
            self._room.set()
            if ready and not await self._write(ready, drain):
                return

    async def _write(self, messages: list[Message[BarClosed]], drain: Drain) -> bool:
        """Write bars, then the position; False when the process drains before both succeed."""
        bars = [message.event for message in messages]
        kept = await self._retried(lambda: self._store.write(bars), drain)
        if kept is None:
            return False
        metrics.BAR_STORE_BARS.inc(kept)
        # An entry of the stream may hold several bars, and the rest of the last one may still come:
        # the position stays before it, and a restart reads that entry again.
        whole = [m.entry_id for m in messages if m.entry_id != messages[-1].entry_id]
        if not whole:
            return True
        cursor = whole[-1].encode()

        def note() -> bool:
            write_durably(self._cursor_file, cursor)
            return True

        return bool(await self._retried(note, drain))

    async def _retried(self, action: Callable[[], T], drain: Drain) -> T | None:
        """Repeat until it succeeds: bars are not lost to a full disk. None at the drain."""
        wait_seconds = FIRST_WAIT_SECONDS
        while True:
            try:
                return await asyncio.to_thread(action)
            except (StoreError, OSError) as error:
                self._failed(error)
            if await drain.sleep(wait_seconds):
                return None
            wait_seconds = min(LONGEST_WAIT_SECONDS, 2 * wait_seconds)

    def _failed(self, error: Exception) -> None:
        metrics.BAR_STORE_FAILURES.inc()
        log.error("bars cannot be written", error=str(error))

    async def _keep_tidy(self, drain: Drain) -> None:
        while True:
            try:
                removed = await asyncio.to_thread(self._store.prune, self._keep_days)
                merged = await asyncio.to_thread(self._store.compact)
            except StoreError as error:
                self._failed(error)
            else:
                log.debug("bar store tidied", days_removed=removed, files_merged=merged)
            if await drain.sleep(self._tidy_every_seconds):
                return
