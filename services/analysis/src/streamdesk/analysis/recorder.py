"""Bars off the bus into the bar store, and up to where they are there.

Read along without a group: what nobody records must not fill the server and stop the feed. How far
the store has come is written beside the bars, after them, so that a recorder that is killed goes on
where its bars end. A few may be written again: of two rows of one bar the store counts one.
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

log = logger("analysis")
T = TypeVar("T")

START = "0"  # all that the stream still has
MOST_WAITING_BARS = 50_000
"""Bars in memory while the disk does not take them; the rest stays on the bus."""
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0


class Recorder:
    """Keeps every bar of the bus in one folder. Of several with one folder, one records.

    Args:
        bus: where bars come from.
        topic: as what.
        store: where they go.
        keep_days: days that stay in the store.
        write_every_seconds: at most one write in so many: each makes a file for each market and
            day.
        tidy_every_seconds: how often small files are merged, and old days removed.
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
        """Record until the drain is requested, and tidy up from time to time."""
        lock = self._cursor_file.with_suffix(".lock")
        while not drain.requested.is_set():
            try:
                with sole(lock) as ours:
                    if ours:
                        await self._record(drain)
                        return
            except StoreError as error:
                self._failed(error)
            await drain.sleep(self._write_every_seconds)

    async def _record(self, drain: Drain) -> None:
        since = await self._insisted(self._cursor, drain)
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
        """Write bars, then how far they go; False when the process ends before that worked."""
        bars = [message.event for message in messages]
        kept = await self._insisted(lambda: self._store.write(bars), drain)
        if kept is None:
            return False
        metrics.BAR_STORE_BARS.inc(kept)
        # The rest of the last frame may be on its way.
        whole = [m.entry_id for m in messages if m.entry_id != messages[-1].entry_id]
        if not whole:
            return True
        cursor = whole[-1].encode()

        def note() -> bool:
            write_durably(self._cursor_file, cursor)
            return True

        return bool(await self._insisted(note, drain))

    async def _insisted(self, work: Callable[[], T], drain: Drain) -> T | None:
        """Do it until it works: a full disk does not make bars worse. None at the drain."""
        wait_seconds = FIRST_WAIT_SECONDS
        while True:
            try:
                return await asyncio.to_thread(work)
            except (StoreError, OSError) as error:
                self._failed(error)
            if await drain.sleep(wait_seconds):
                return None
            wait_seconds = min(LONGEST_WAIT_SECONDS, 2 * wait_seconds)

    def _failed(self, error: Exception) -> None:
        metrics.BAR_STORE_FAILURES.inc()
        log.error("bars cannot be kept", error=str(error))

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
