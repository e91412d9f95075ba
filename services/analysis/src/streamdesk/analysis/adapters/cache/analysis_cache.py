"""Where analyses are kept: Redis first, and this process's memory.

Memory has two parts to play. While Redis answers it spares it: an entry is good for
`look_seconds` until Redis is asked again, so that a busy symbol costs one question a second. Who
asks within as long again is not kept waiting for that, and Redis is asked for all such entries at
once: one by one they would hold up everybody at the same moment of each second. While
Redis is away, or not wanted, it is the cache, bounded and without the others.

What happened while Redis was away is given to it when it is back. What Redis had and has no more
(somebody deleted it, or it came back empty) is not brought back from memory.
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
"""How long what was last said of an instrument is known: over a long weekend, and then some."""

CLAIM_SECONDS = 15.0
"""How long others wait for a process that died while it computed; an analysis takes far less."""

PROBE_SECONDS = 0.5
LOOK_TOGETHER_SECONDS = 0.005
"""How long names come together that Redis is asked for at once."""


class AnalysisCache:
    """Entries by name: the symbol, or symbol, preset and interval.

    Args:
        keys: Redis; None to do without.
        owner: name of this process among its replicas.
        ttl_seconds: life of an entry.
        memory_entries: entries in memory at most.
        look_seconds: how long an entry in memory is good until Redis is asked.
        timeout_seconds: longest wait for an answer of Redis; then memory has to do.
        clock: the time, for the age of what others wrote.
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
        """Stop looking, and looking for Redis."""
        for task in (self._probe, self._look):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})

    @property
    def on_redis(self) -> bool:
        """Whether entries go to Redis now; else memory has to do."""
        return self._keys is not None and self._probe is None

    def near(self, name: str) -> CachedAnalysis | None:
        """An entry that nobody has to be asked for."""
        kept = self._memory.get(name)
        if kept is None:
            return None
        entry, good_until = kept
        now = time.monotonic()
        if now - entry.born_at >= self._ttl_seconds:
            return None
        if now < good_until or not self.on_redis:
            return entry
        if now >= good_until + self._look_seconds:
            return None
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
        self._due.clear()  # whoever asked meanwhile has what is good now

    async def load(self, names: Sequence[str]) -> dict[str, CachedAnalysis]:
        """Those entries that Redis has, and those that it was not told of yet.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        keys = self._there()
        bodies = await self._ask(keys.get(*(PREFIX + name for name in names)))
        found: dict[str, CachedAnalysis] = {}
        untold: dict[str, CachedAnalysis] = {}
        for name, body in zip(names, bodies, strict=True):
            entry = self._known(name, body)
            if entry is None:
                self._memory.drop(name)
                continue
            found[name] = entry
            self._remember(name, entry)
            if not entry.shared:
                untold[name] = entry
        await self._share(untold)
        return found

    def _known(self, name: str, body: bytes | None) -> CachedAnalysis | None:
        """The entry of a body, or the one in memory that Redis was not told of."""
        kept = self._memory.get(name)
        mine = kept[0] if kept is not None else None
        if body is None:
            alive = mine is not None and mine.age_seconds() < self._ttl_seconds
            return mine if mine is not None and alive and not mine.shared else None
        if mine is not None and mine.body == body:
            return mine if mine.shared else replace(mine, shared=True)
        try:
            entry = CachedAnalysis.read(body, self._clock())
        except ValueError:
            log.warning("entry thrown away: it is no analysis", name=name)
            return None
        # One that Redis keeps for longer than we would: another TTL, or another clock.
        return entry if entry.age_seconds() < self._ttl_seconds else None

    async def last(self, names: Sequence[str]) -> dict[str, HamaAnalysis]:
        """What was last said of instruments, however long ago; as far as it is known."""
        known = {name: last for name in names if (last := self._last.get(name)) is not None}
        if not self.on_redis:
            return known
        try:
            bodies = await self._ask(self._there().get(*(LAST + name for name in names)))
        except CacheUnavailableError:
            return known
        for name, body in zip(names, bodies, strict=True):
            if body is not None:
                with suppress(ValueError):  # of another version: as good as none
                    known[name] = HamaAnalysis.model_validate_json(body)
        return known

    async def keep(
        self, entries: Mapping[str, CachedAnalysis], said: Mapping[str, HamaAnalysis]
    ) -> None:
        """Keep what was computed; never fails, for memory takes it too.

        Args:
            entries: by name.
            said: those analyses of them that say something new.
        """
        for name, entry in entries.items():
            self._remember(name, entry)
        for name, analysis in said.items():
            self._last.put(name, analysis)
        if self.on_redis:
            told = {LAST + name: each.model_dump_json().encode() for name, each in said.items()}
            await asyncio.gather(self._share(entries), self._put(told, LAST_TTL_SECONDS))

    async def _share(self, entries: Mapping[str, CachedAnalysis]) -> None:
        bodies = {PREFIX + name: entry.body for name, entry in entries.items()}
        oldest = max((entry.age_seconds() for entry in entries.values()), default=0.0)
        life_seconds = self._ttl_seconds - oldest
        if life_seconds > 0 and await self._put(bodies, life_seconds):
            for name, entry in entries.items():
                kept = self._memory.get(name)
                if kept is not None and kept[0] is entry:  # none newer came meanwhile
                    self._remember(name, replace(entry, shared=True))

    async def _put(self, bodies: Mapping[str, bytes], life_seconds: float) -> bool:
        if not bodies:
            return False
        try:
            await self._ask(self._there().put(bodies, life_seconds))
        except CacheUnavailableError:
            return False
        except ServerFullError as error:
            if not self._is_full:
                log.warning("redis is full: analyses are kept in memory", error=str(error))
            self._is_full = True
            return False
        self._is_full = False
        return True

    def _remember(self, name: str, entry: CachedAnalysis) -> None:
        self._memory.put(name, (entry, time.monotonic() + self._look_seconds))

    async def claim(self, names: Sequence[str]) -> list[str]:
        """Those of the names that are ours to compute now.

        Raises:
            CacheUnavailableError: Redis does not answer, or has no memory for claims.
        """
        claims = [CLAIMS + name for name in names]
        try:
            won = await self._ask(self._there().claim(claims, self._owner, CLAIM_SECONDS))
        except ServerFullError as error:
            raise CacheUnavailableError(str(error)) from error
        return [name for name, mine in zip(names, won, strict=True) if mine]

    async def give_back(self, names: Sequence[str]) -> None:
        """Let others compute these; a Redis that is away forgets who had them by itself."""
        with suppress(CacheUnavailableError):
            claims = [CLAIMS + name for name in names]
            await self._ask(self._there().give_back(claims, self._owner))

    async def symbols(self, limit: int) -> list[str]:
        """Symbols that have an entry in the usual preset and interval, sorted; not above `limit`.

        Looks through all keys of the server: for people, not for loops.
        """
        names = [name for name in self._memory if self._is_alive(name)]
        if self.on_redis:
            with suppress(CacheUnavailableError):
                found = await self._ask(self._there().names(PREFIX, limit))
                names = [name.removeprefix(PREFIX) for name in found]
        return sorted(name for name in names if ":" not in name)[:limit]

    def _is_alive(self, name: str) -> bool:
        kept = self._memory.get(name)
        return kept is not None and kept[0].age_seconds() < self._ttl_seconds

    def _there(self) -> Keys:
        if self._keys is None or self._probe is not None:
            raise CacheUnavailableError("redis is off or away: this process's memory has to do")
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
            self._probe = asyncio.create_task(self._until_back(self._keys))

    async def _until_back(self, keys: Keys) -> None:
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            with suppress(BusError):
                await keys.get(f"{PREFIX}probe")
                break
        log.info("redis back: analyses are kept there again")
        metrics.HAMA_CACHE_FALLBACK.set(0)
        self._probe = None
