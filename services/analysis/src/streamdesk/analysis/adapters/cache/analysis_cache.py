"""Keeps analyses in Redis, and in the memory of this process.

Memory has two uses. While Redis answers, it saves requests: an entry is valid for `look_seconds`
before Redis is asked again, so that a busy symbol costs one request a second. A caller within the
same time after that still gets the entry at once, while Redis is asked in the background, for all
such entries together: one by one they would delay all callers at the same moment of each second.
While Redis is unavailable or switched off, memory is the cache, bounded, of this process alone.

What is computed while Redis is unavailable is written to it when it answers again. What Redis had
and lost (a client deleted it, or the server restarted empty) is not restored from memory.
"""

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from streamdesk.analysis.adapters.cache.cached_analysis import CachedAnalysis, Clock
from streamdesk.analysis.domain.hama import HamaAnalysis
from streamdesk.analysis.domain.recent import Recent
from streamdesk.analysis.errors import CacheUnavailableError
from streamdesk.bus import BusError, Keys, ServerFullError
from streamdesk.runtime import logger, metrics

log = logger(__name__)
T = TypeVar("T")

PREFIX = "hama:analysis:"
CLAIMS = "hama:claim:"
LAST = "hama:last:"
LAST_TTL_SECONDS = 7 * 86_400
"""How long the last published state of an instrument is known: longer than a long weekend."""

CLAIM_SECONDS = 15.0
"""How long other replicas wait for one that died while it computed; an analysis takes far less."""

PROBE_SECONDS = 0.5
LOOK_TOGETHER_SECONDS = 0.005
"""How long names are collected before Redis is asked for all of them in one request."""


class AnalysisCache:
    """Entries by name: the symbol, or symbol, preset and interval.

    Args:
        keys: Redis; None to do without.
        owner: name of this process among its replicas.
        ttl_seconds: life of an entry.
        memory_entries: entries in memory at most.
        look_seconds: how long an entry in memory is valid before Redis is asked again.
        timeout_seconds: longest wait for an answer of Redis; after it, memory is the cache.
        clock: the time of day, for the age of entries that other processes wrote.
    """

    def __init__(
        self,
        keys: Keys | None,
        *,
        owner: str,
        ttl_seconds: float,
        memory_entries: int,
        look_seconds: float,
        timeout_seconds: float,
        clock: Clock,
    ) -> None:
        self._keys = keys
        self._owner = owner
        self._ttl_seconds = ttl_seconds
        self._look_seconds = look_seconds
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._memory: Recent[tuple[CachedAnalysis, float]] = Recent(memory_entries)
        self._last: Recent[HamaAnalysis] = Recent(memory_entries)
        self._probe: asyncio.Task[None] | None = None
        self._due: set[str] = set()
        self._look: asyncio.Task[None] | None = None
        self._is_full = False
        metrics.HAMA_CACHE_FALLBACK.set(keys is None)

    async def close(self) -> None:
        """Stop the background requests, and the probe for an unavailable Redis."""
        for task in (self._probe, self._look):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})

    @property
    def on_redis(self) -> bool:
        """Whether entries go to Redis now; otherwise memory is the cache."""
        return self._keys is not None and self._probe is None

    def near(self, name: str) -> CachedAnalysis | None:
        """The entry in memory; None where Redis has to be asked first."""
        kept = self._memory.get(name)
        if kept is None:
            return None
        entry, valid_until = kept
        now = time.monotonic()
        if now - entry.born_at >= self._ttl_seconds:
            return None
        # Without Redis nothing newer can be found, so an entry is valid to the end of its life.
        if now < valid_until or not self.on_redis:
            return entry
        # So long unchecked, another replica may have a newer one: the caller waits for Redis.
        if now >= valid_until + self._look_seconds:
            return None
        # In between the caller does not wait; the next one gets what Redis has.
        self._look_soon(name)
        return entry

    def _look_soon(self, name: str) -> None:
        self._due.add(name)
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._look_at_due())

    async def _look_at_due(self) -> None:
        await asyncio.sleep(LOOK_TOGETHER_SECONDS)
        names = list(self._due)
        with suppress(CacheUnavailableError):
            await self.load(names)
        self._due.clear()  # also of names added meanwhile: they are asked for on the next call

    async def load(self, names: Sequence[str]) -> dict[str, CachedAnalysis]:
        """The entries that Redis has, and those in memory that were not yet written to it.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        keys = self._available()
        bodies = await self._ask(keys.get(*(PREFIX + name for name in names)))
        found: dict[str, CachedAnalysis] = {}
        unshared: dict[str, CachedAnalysis] = {}
        for name, body in zip(names, bodies, strict=True):
            entry = self._known(name, body)
            if entry is None:
                # Deleted in Redis: memory must not answer with it any longer.
                self._memory.drop(name)
                continue
            found[name] = entry
            self._remember(name, entry)
            if not entry.shared:
                unshared[name] = entry
        await self._share(unshared)
        return found

    def _known(self, name: str, body: bytes | None) -> CachedAnalysis | None:
        """The entry that Redis has, or one in memory that was not yet written to it."""
        kept = self._memory.get(name)
        mine = kept[0] if kept is not None else None
        if body is None:
            # Computed while Redis was unavailable: valid. Once shared, its absence is a deletion.
            alive = mine is not None and mine.age_seconds() < self._ttl_seconds
            return mine if mine is not None and alive and not mine.shared else None
        if mine is not None and mine.body == body:
            # Unchanged, the usual case: parsing it again would cost more than the request.
            return mine if mine.shared else replace(mine, shared=True)
        try:
            entry = CachedAnalysis.read(body, self._clock())
        except ValueError:
            log.warning("entry ignored: it is not an analysis", name=name)
            return None
        # Redis may keep it longer than this process would: another TTL, or another clock.
        return entry if entry.age_seconds() < self._ttl_seconds else None

    async def last(self, names: Sequence[str]) -> dict[str, HamaAnalysis]:
        """The last published states of instruments, whatever their age, as far as known."""
        known = {name: last for name in names if (last := self._last.get(name)) is not None}
        if not self.on_redis:
            return known
        try:
            bodies = await self._ask(self._available().get(*(LAST + name for name in names)))
        except CacheUnavailableError:
            return known
        for name, body in zip(names, bodies, strict=True):
            if body is not None:
                with suppress(ValueError):  # written by another version: treated as unknown
                    known[name] = HamaAnalysis.model_validate_json(body)
        return known

    async def keep(
        self, entries: Mapping[str, CachedAnalysis], changed: Mapping[str, HamaAnalysis]
    ) -> None:
        """Keep what was computed, in memory and in Redis; without Redis in memory alone.

        Args:
            entries: by name.
            changed: the analyses among them whose state differs from the last one.
        """
        for name, entry in entries.items():
            self._remember(name, entry)
        for name, analysis in changed.items():
            self._last.put(name, analysis)
        if self.on_redis:
            states = {
                LAST + name: each.model_dump_json().encode() for name, each in changed.items()
            }
            await asyncio.gather(self._share(entries), self._put(states, LAST_TTL_SECONDS))

    async def _share(self, entries: Mapping[str, CachedAnalysis]) -> None:
        bodies = {PREFIX + name: entry.body for name, entry in entries.items()}
        # One expiry for all of a request: that of the oldest, so that none outlives its TTL.
        oldest = max((entry.age_seconds() for entry in entries.values()), default=0.0)
        life_seconds = self._ttl_seconds - oldest
        if life_seconds > 0 and await self._put(bodies, life_seconds):
            for name, entry in entries.items():
                kept = self._memory.get(name)
                if kept is not None and kept[0] is entry:  # not replaced meanwhile
                    self._remember(name, replace(entry, shared=True))

    async def _put(self, bodies: Mapping[str, bytes], life_seconds: float) -> bool:
        if not bodies:
            return False
        try:
            await self._ask(self._available().put(bodies, life_seconds))
        except CacheUnavailableError:
            return False
        except ServerFullError as error:
            if not self._is_full:  # once, not at each of thousands of writes
                log.warning("redis is full: analyses are kept in memory", error=str(error))
            self._is_full = True
            return False
        self._is_full = False
        return True

    def _remember(self, name: str, entry: CachedAnalysis) -> None:
        self._memory.put(name, (entry, time.monotonic() + self._look_seconds))

    async def claim(self, names: Sequence[str]) -> list[str]:
        """The names among these that this process has to compute now.

        Raises:
            CacheUnavailableError: Redis does not answer, or has no memory for claims.
        """
        claims = [CLAIMS + name for name in names]
        try:
            won = await self._ask(self._available().claim(claims, self._owner, CLAIM_SECONDS))
        except ServerFullError as error:
            raise CacheUnavailableError(str(error)) from error
        return [name for name, mine in zip(names, won, strict=True) if mine]

    async def release(self, names: Sequence[str]) -> None:
        """Release claims; in an unavailable Redis they expire."""
        with suppress(CacheUnavailableError):
            claims = [CLAIMS + name for name in names]
            await self._ask(self._available().give_back(claims, self._owner))

    async def symbols(self, limit: int) -> list[str]:
        """Symbols with an entry in the default preset and interval, sorted; at most `limit`.

        Scans all keys of the server: for an operator's request, not for a loop.
        """
        names = [name for name in self._memory if self._is_alive(name)]
        if self.on_redis:
            with suppress(CacheUnavailableError):
                found = await self._ask(self._available().names(PREFIX, limit))
                names = [name.removeprefix(PREFIX) for name in found]
        return sorted(name for name in names if ":" not in name)[:limit]

    def _is_alive(self, name: str) -> bool:
        kept = self._memory.get(name)
        return kept is not None and kept[0].age_seconds() < self._ttl_seconds

    def _available(self) -> Keys:
        if self._keys is None or self._probe is not None:
            raise CacheUnavailableError("redis is off or unavailable: memory is the cache")
        return self._keys

    async def _ask(self, call: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await call
        except ServerFullError:
            raise
        except (BusError, TimeoutError) as error:
            reason = str(error) or f"no answer within {self._timeout_seconds:g} s"
            self._lost(reason)
            raise CacheUnavailableError(reason) from error

    def _lost(self, reason: str) -> None:
        if self._probe is None and self._keys is not None:
            log.warning("redis lost: analyses are kept in memory", error=reason)
            metrics.HAMA_CACHE_FALLBACK.set(1)
            self._probe = asyncio.create_task(self._until_available(self._keys))

    async def _until_available(self, keys: Keys) -> None:
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            with suppress(BusError):
                await keys.get(f"{PREFIX}probe")
                break
        log.info("redis back: analyses are kept there again")
        metrics.HAMA_CACHE_FALLBACK.set(0)
        self._probe = None
