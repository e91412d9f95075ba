"""The one way to get analyses: kept ones at once, old ones renewed behind the scenes.

Life of a kept analysis, in shares of its TTL:

    0.0 - 0.6  fresh
    0.6 - 0.8  fresh; at a moment of its own for each symbol, the next asker has it made anew in
               the background, so that what was made together is not renewed together
    0.8 - 1.0  stale: as before, and the answer says so
    1.0        gone: the next asker waits
"""

import asyncio
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from streamdesk.analysis.adapters.cache.analysis_cache import AnalysisCache
from streamdesk.analysis.adapters.cache.cached_analysis import CachedAnalysis
from streamdesk.analysis.application.analyses.compute_analyses import ComputeAnalyses
from streamdesk.analysis.application.analyses.outcomes import (
    AnalysisOutcome,
    CacheStats,
    RefreshReport,
)
from streamdesk.analysis.application.analyses.shared_computation import Compute, SharedComputation
from streamdesk.analysis.domain.hama import HamaAnalysis, changed
from streamdesk.analysis.domain.recent import Recent
from streamdesk.analysis.errors import NotEnoughBarsError
from streamdesk.market.errors import UnknownInstrumentError
from streamdesk.runtime import logger, metrics

log = logger(__name__)

SOFT_END = 0.8
EARLIEST_RENEWAL = 0.6
FAILURE_SECONDS = 5.0
"""How long a failure is the answer to further askers, so that they do not ask the source too."""

MOST_FAILURES = 10_000
MOST_NAMES = 10_000

OnChange = Callable[[HamaAnalysis | None, HamaAnalysis], None]
"""Told of an analysis that says something new, and of the one before; must not wait."""


class Analyses:
    """Analyses of instruments.

    Args:
        cache: where they are kept.
        compute: makes new ones.
        preset: the usual preset.
        interval_seconds: the usual length of bars.
        ttl_seconds: life of an analysis.
        on_change: told of what is new in the usual preset and interval.
    """

    def __init__(
        self,
        cache: AnalysisCache,
        compute: ComputeAnalyses,
        *,
        preset: str,
        interval_seconds: int,
        ttl_seconds: float,
        on_change: OnChange | None = None,
    ) -> None:
        self._cache = cache
        self._computing = compute
        self._usual = (preset, interval_seconds)
        self.ttl_seconds = ttl_seconds
        self._on_change = on_change
        self._flights: dict[tuple[str, bool], asyncio.Future[AnalysisOutcome]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: Recent[tuple[Exception, float]] = Recent(MOST_FAILURES)
        self._memory_hits = metrics.HAMA_CACHE_HITS.labels("memory")
        self._redis_hits = metrics.HAMA_CACHE_HITS.labels("redis")
        self._counts = {"memory": 0, "redis": 0, "misses": 0, "computations": 0}

    async def close(self) -> None:
        """End what is being computed; whoever waits for it is told that it was cancelled."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._cache.close()

    @property
    def soft_seconds(self) -> float:
        """Age at which an analysis is stale."""
        return SOFT_END * self.ttl_seconds

    def at_hand(
        self, symbol: str, preset: str | None = None, interval_seconds: int | None = None
    ) -> AnalysisOutcome | None:
        """What nobody has to be waited for; None when somebody has to."""
        view = self._view(preset, interval_seconds)
        entry = self._cache.near(self._name(symbol, view))
        if entry is None:
            return None
        self._memory_hits.inc()
        self._counts["memory"] += 1
        return self._kept(symbol, view, entry)

    async def of(
        self,
        symbols: Sequence[str],
        *,
        fresh: bool = False,
        preset: str | None = None,
        interval_seconds: int | None = None,
    ) -> dict[str, AnalysisOutcome]:
        """An outcome for each symbol, in this order.

        Args:
            symbols: instruments; doubles are answered once.
            fresh: have them computed now, or get what is being computed at this moment.
            preset: another preset than the usual one.
            interval_seconds: another length of bars than the usual one.
        """
        view = self._view(preset, interval_seconds)
        outcomes: dict[str, AnalysisOutcome | None] = dict.fromkeys(symbols)
        missing: list[str] = []
        for symbol in outcomes:
            outcome = None if fresh else self.at_hand(symbol, *view) or self._failed(symbol, view)
            outcomes[symbol] = outcome
            if outcome is None:
                missing.append(symbol)
        if missing:
            outcomes.update(await self._waited_for(missing, view, fresh=fresh))
        return {symbol: outcome for symbol, outcome in outcomes.items() if outcome is not None}

    async def refresh(self, symbols: Sequence[str]) -> RefreshReport:
        """Make analyses anew, in the usual preset and interval."""
        outcomes = await self.of(symbols, fresh=True)
        failed = {
            symbol: str(outcome.error)
            for symbol, outcome in outcomes.items()
            if outcome.error is not None
        }
        changes = sum(outcome.changed for outcome in outcomes.values())
        return RefreshReport(len(outcomes) - len(failed), changes, failed)

    async def stats(self) -> CacheStats:
        """How the cache is doing."""
        symbols = await self._cache.symbols(MOST_NAMES)
        counts = self._counts
        return CacheStats(
            on_redis=self._cache.on_redis,
            symbols=symbols,
            memory_hits=counts["memory"],
            redis_hits=counts["redis"],
            misses=counts["misses"],
            computations=counts["computations"],
        )

    def _view(self, preset: str | None, interval_seconds: int | None) -> tuple[str, int]:
        usual_preset, usual_seconds = self._usual
        return preset or usual_preset, interval_seconds or usual_seconds

    def _name(self, symbol: str, view: tuple[str, int]) -> str:
        return symbol if view == self._usual else f"{symbol}:{view[0]}:{view[1]}"

    def _kept(self, symbol: str, view: tuple[str, int], entry: CachedAnalysis) -> AnalysisOutcome:
        """The outcome of a kept entry, which is renewed if it is due."""
        age_seconds = entry.age_seconds()
        if age_seconds >= renewal_share(symbol) * self.ttl_seconds:
            self._renew(symbol, view)
        return AnalysisOutcome(entry, cached=True, stale=age_seconds >= self.soft_seconds)

    def _failed(self, symbol: str, view: tuple[str, int]) -> AnalysisOutcome | None:
        kept = self._failures.get(self._name(symbol, view))
        if kept is None or time.monotonic() >= kept[1]:
            return None
        return AnalysisOutcome(error=kept[0])

    def _renew(self, symbol: str, view: tuple[str, int]) -> None:
        flying = (self._name(symbol, view), True) in self._flights
        if not flying and self._failed(symbol, view) is None:
            self._take_off([symbol], view, fresh=True)

    async def _waited_for(
        self, symbols: Sequence[str], view: tuple[str, int], *, fresh: bool
    ) -> Mapping[str, AnalysisOutcome]:
        """Join flights that are in the air, start one for the rest, and wait for all."""
        names = {symbol: self._name(symbol, view) for symbol in symbols}
        grounded = [symbol for symbol, name in names.items() if (name, fresh) not in self._flights]
        if grounded:
            self._take_off(grounded, view, fresh=fresh)
        flights = {symbol: self._flights[name, fresh] for symbol, name in names.items()}
        await asyncio.wait(flights.values())  # a client that leaves does not end the flight
        outcomes = {symbol: flight.result() for symbol, flight in flights.items()}
        return {symbol: self._arrived(symbol, view, each) for symbol, each in outcomes.items()}

    def _arrived(
        self, symbol: str, view: tuple[str, int], outcome: AnalysisOutcome
    ) -> AnalysisOutcome:
        """Count it; what was kept may be old."""
        if outcome.entry is not None and outcome.cached:
            self._redis_hits.inc()
            self._counts["redis"] += 1
            return self._kept(symbol, view, outcome.entry)
        metrics.HAMA_CACHE_MISSES.inc()
        self._counts["misses"] += 1
        return outcome

    def _take_off(self, symbols: Iterable[str], view: tuple[str, int], *, fresh: bool) -> None:
        names = {self._name(symbol, view): symbol for symbol in symbols}
        flight = SharedComputation(names, self._cache, self._maker(names, view), renew=fresh)
        for name, future in flight.futures.items():
            self._flights[name, fresh] = future
        task = asyncio.create_task(flight.run())
        self._tasks.add(task)

        def landed(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            for name in names:
                self._flights.pop((name, fresh), None)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("flight failed", symbols=len(names), error=repr(error))

        task.add_done_callback(landed)

    def _maker(self, symbols: Mapping[str, str], view: tuple[str, int]) -> Compute:
        """What computes and keeps the analyses of a flight, by their names in the cache."""

        async def make(names: Sequence[str]) -> dict[str, AnalysisOutcome]:
            last = await self._cache.last(names) if view == self._usual else {}
            results = await self._computing([symbols[name] for name in names], *view)
            made: dict[str, CachedAnalysis] = {}
            outcomes: dict[str, AnalysisOutcome] = {}
            for name in names:
                result = results[symbols[name]]
                if isinstance(result, Exception):
                    outcomes[name] = self._failure(name, result)
                    continue
                made[name] = entry = CachedAnalysis.of(result)
                is_new = view == self._usual and changed(last.get(name), result)
                outcomes[name] = AnalysisOutcome(entry, changed=is_new)
                self._failures.drop(name)
            await self._keep(made, outcomes, last)
            _say_failed(outcomes)
            return outcomes

        return make

    def _failure(self, name: str, error: Exception) -> AnalysisOutcome:
        self._failures.put(name, (error, time.monotonic() + FAILURE_SECONDS))
        return AnalysisOutcome(error=error)

    async def _keep(
        self,
        made: Mapping[str, CachedAnalysis],
        outcomes: Mapping[str, AnalysisOutcome],
        last: Mapping[str, HamaAnalysis],
    ) -> None:
        self._counts["computations"] += len(made)
        said = {name: each.analysis for name, each in made.items() if outcomes[name].changed}
        await self._cache.keep(made, said)
        if self._on_change is not None:
            for name, analysis in said.items():
                self._on_change(last.get(name), analysis)


def _say_failed(outcomes: Mapping[str, AnalysisOutcome]) -> None:
    """One line for all that a client is not to blame for."""
    failed = {
        name: outcome.error
        for name, outcome in outcomes.items()
        if not isinstance(outcome.error, (UnknownInstrumentError, NotEnoughBarsError, type(None)))
    }
    if failed:
        name, error = next(iter(failed.items()))
        log.warning("no analysis", count=len(failed), first=name, error=str(error))


def renewal_share(symbol: str) -> float:
    """Share of the TTL after which a symbol is renewed: its own, the same in every process."""
    part = zlib.crc32(symbol.encode()) / 2**32
    return EARLIEST_RENEWAL + (SOFT_END - EARLIEST_RENEWAL) * part
