"""Looking through dead letters, and putting them back."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from streamdesk.bus.backends.port import Backend
from streamdesk.bus.connection.link import Link
from streamdesk.bus.dead_letters.letters import (
    DeadFilter,
    StoredDeadLetter,
    open_dead_letter,
    redriven_fields,
)
from streamdesk.bus.errors import BusConfigError
from streamdesk.bus.topic_keys import keys_of, shard_of
from streamdesk.contracts.base import Topic

PAGE = 500


@dataclass(frozen=True, slots=True)
class RedriveReport:
    """What a redrive did.

    Attributes:
        redriven: letters that went back; 0 on a dry run.
        skipped: letters that fitted but had been put back too often already.
        letters: those that went back, or, on a dry run, would have.
    """

    redriven: int
    skipped: int
    letters: tuple[StoredDeadLetter, ...]


class DeadLetterBox:
    """The dead letters of a server's topics."""

    def __init__(self, backend: Backend, link: Link) -> None:
        """Made by `Bus`."""
        self._backend = backend
        self._link = link

    async def letters(
        self, topic: Topic[Any], where: DeadFilter | None = None
    ) -> AsyncGenerator[StoredDeadLetter, None]:
        """The letters that are there now, the oldest first.

        Letters that come meanwhile are left out: what is put back may well return here.
        """
        key = keys_of(topic).dead
        (last,) = await self._link.once(lambda: self._backend.last_ids([key]))
        first = "0-0"
        while True:
            rows = await self._link.once(
                lambda: self._backend.read_range(key, first, last, PAGE)  # noqa: B023 - called at once
            )
            for entry_id, fields in rows:
                try:
                    stored = open_dead_letter(entry_id, fields)
                except ValidationError:
                    continue  # not written by the bus
                # Topics may share a key for their dead letters.
                if stored.letter.topic == topic.name and (not where or where.fits(stored.letter)):
                    yield stored
            if len(rows) < PAGE:
                return
            first = f"({rows[-1][0]}"

    async def oldest(
        self, topic: Topic[Any], limit: int, where: DeadFilter | None
    ) -> list[StoredDeadLetter]:
        """The oldest letters that fit, at most `limit`."""
        found: list[StoredDeadLetter] = []
        async with aclosing(self.letters(topic, where)) as letters:
            async for stored in letters:
                if len(found) >= limit:
                    break
                found.append(stored)
        return found

    async def redrive(
        self,
        topic: Topic[Any],
        ids: Sequence[str] | None,
        limit: int,
        *,
        where: DeadFilter | None,
        rate_per_second: float | None,
        max_replays: int | None,
        dry_run: bool,
    ) -> RedriveReport:
        """As `Bus.redrive`."""
        pace = _Pace(rate_per_second)
        wanted = None if ids is None else set(ids)
        gone_back: list[StoredDeadLetter] = []
        skipped = 0
        async with aclosing(self.letters(topic, where)) as letters:
            async for stored in letters:
                # Counts what went back, not what was looked at: a letter that another call has
                # taken meanwhile makes room for the next one.
                if len(gone_back) >= limit:
                    break
                if wanted is not None and stored.id not in wanted:
                    continue
                # A message that dies again and again would otherwise circulate indefinitely.
                if max_replays is not None and stored.letter.replays >= max_replays:
                    skipped += 1
                    continue
                if dry_run or await self._put_back(topic, stored, pace):
                    gone_back.append(stored)
        return RedriveReport(0 if dry_run else len(gone_back), skipped, tuple(gone_back))

    async def _put_back(self, topic: Topic[Any], stored: StoredDeadLetter, pace: "_Pace") -> bool:
        """Swap the letter for the original in its turn; False when another call was quicker."""
        await pace.next()
        topic_keys = keys_of(topic)
        # The topic may have fewer classes by now: the lowest takes what has lost its own.
        stream = min(stored.letter.stream, len(topic_keys.streams) - 1)
        key = stored.original.get(b"k", b"")
        if topic.shards > 1 and key:
            # The number of shards may have changed since.
            stream = shard_of(key.decode("utf-8", "backslashreplace"), topic.shards)
        fields = redriven_fields(stored)
        return bool(
            await self._link.once(
                lambda: self._backend.redrive(topic_keys, stored.id, stream, fields)
            )
        )

    async def purge(self, topic: Topic[Any], ids: Sequence[str] | None) -> int:
        """As `Bus.purge_dead`."""
        topic_keys = keys_of(topic)
        doomed = list(ids) if ids is not None else [item.id async for item in self.letters(topic)]
        count = 0
        for start in range(0, len(doomed), PAGE):
            part = doomed[start : start + PAGE]
            count += await self._link.once(lambda: self._backend.remove_dead(topic_keys, part))  # noqa: B023 - called at once
        return count


class _Pace:
    """Lets its caller through so many times a second."""

    def __init__(self, rate_per_second: float | None) -> None:
        """Raises BusConfigError for a rate that is not above 0; None is no limit."""
        if rate_per_second is not None and rate_per_second <= 0:
            raise BusConfigError(f"rate_per_second is {rate_per_second}; expected more than 0")
        self._interval = 0.0 if rate_per_second is None else 1 / rate_per_second
        self._next_at = time.monotonic()

    async def next(self) -> None:
        """Return when it is time; at once without a rate."""
        if not self._interval:
            return
        wait = self._next_at - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        # From now on where the server was slower than the rate: what was missed is not caught up.
        self._next_at = max(self._next_at, time.monotonic()) + self._interval
