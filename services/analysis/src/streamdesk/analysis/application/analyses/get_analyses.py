"""Gets analyses: cached ones at once; old ones are renewed in the background.

Life of a cached analysis, in shares of its TTL:

    0.0 - 0.6  fresh
    0.6 - 0.8  fresh; from a moment that differs by symbol, the next request has it renewed in the
               background, so that analyses computed together are not renewed together
    0.8 - 1.0  stale: as before, and the answer says so
    1.0        expired: the next request waits
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
"""How long a failure answers further requests, so that they do not reach the source too."""

MOST_FAILURES = 10_000
MOST_NAMES = 10_000

OnChange = Callable[[HamaAnalysis | None, HamaAnalysis], None]
"""Called with the analysis before and one whose state differs from it; must not wait."""


class Analyses:
    """Analyses of instruments.

    Args:
        cache: where they are kept.
        compute: computes new ones.
        preset: the default preset.
        interval_seconds: the default length of bars.
        ttl_seconds: life of an analysis.
        on_change: called for each changed state in the default preset and interval.
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
        self._default = (preset, interval_seconds)
        self.ttl_seconds = ttl_seconds
        self._on_change = on_change
        self._pending: dict[tuple[str, bool], asyncio.Future[AnalysisOutcome]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: Recent[tuple[Exception, float]] = Recent(MOST_FAILURES)
        self._memory_hits = metrics.HAMA_CACHE_HITS.labels("memory")
        self._redis_hits = metrics.HAMA_CACHE_HITS.labels("redis")
        self._counts = {"memory": 0, "redis": 0, "misses": 0, "computations": 0}

    async def close(self) -> None:
        """Cancel what is being computed, for its callers too."""
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
        """The cached outcome; None where a caller has to wait for Redis or a computation."""
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
            symbols: instruments; duplicates are answered once.
            fresh: compute them now, or join a computation in progress.
            preset: None for the default one.
            interval_seconds: None for the default length of bars.
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
        """Compute analyses anew, in the default preset and interval."""
        outcomes = await self.of(symbols, fresh=True)
        failed = {
            symbol: str(outcome.error)
            for symbol, outcome in outcomes.items()
            if outcome.error is not None
        }
        changes = sum(outcome.changed for outcome in outcomes.values())
        return RefreshReport(len(outcomes) - len(failed), changes, failed)

    async def stats(self) -> CacheStats:
        """Counts and content of the cache."""
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
        default_preset, default_seconds = self._default
        return preset or default_preset, interval_seconds or default_seconds

    def _name(self, symbol: str, view: tuple[str, int]) -> str:
        return symbol if view == self._default else f"{symbol}:{view[0]}:{view[1]}"

    def _kept(self, symbol: str, view: tuple[str, int], entry: CachedAnalysis) -> AnalysisOutcome:
        """The outcome of a cached entry; renewed in the background if it is due."""
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
        pending = (self._name(symbol, view), True) in self._pending
        # A source that failed a moment ago is not asked again at each request.
        if not pending and self._failed(symbol, view) is None:
            self._start([symbol], view, fresh=True)

    async def _waited_for(
        self, symbols: Sequence[str], view: tuple[str, int], *, fresh: bool
    ) -> Mapping[str, AnalysisOutcome]:
        """Join computations in progress, start one for the rest, and wait for all."""
        names = {symbol: self._name(symbol, view) for symbol in symbols}
        missing = [symbol for symbol, name in names.items() if (name, fresh) not in self._pending]
        if missing:
            self._start(missing, view, fresh=fresh)
        pending = {symbol: self._pending[name, fresh] for symbol, name in names.items()}
        # `wait` does not cancel them: when one client disconnects, others may still wait.
        await asyncio.wait(pending.values())
        outcomes = {symbol: future.result() for symbol, future in pending.items()}
        return {symbol: self._counted(symbol, view, each) for symbol, each in outcomes.items()}

    def _counted(
        self, symbol: str, view: tuple[str, int], outcome: AnalysisOutcome
    ) -> AnalysisOutcome:
        """Count an outcome; one that was cached may have to be renewed."""
        if outcome.entry is not None and outcome.cached:
            self._redis_hits.inc()
            self._counts["redis"] += 1
            return self._kept(symbol, view, outcome.entry)
        metrics.HAMA_CACHE_MISSES.inc()
        self._counts["misses"] += 1
        return outcome

    def _start(self, symbols: Iterable[str], view: tuple[str, int], *, fresh: bool) -> None:
        names = {self._name(symbol, view): symbol for symbol in symbols}
        shared = SharedComputation(names, self._cache, self._maker(names, view), renew=fresh)
        for name, future in shared.futures.items():
            self._pending[name, fresh] = future
        task = asyncio.create_task(shared.run())
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            for name in names:
                self._pending.pop((name, fresh), None)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("computation failed", symbols=len(names), error=repr(error))

        task.add_done_callback(ended)

    def _maker(self, symbols: Mapping[str, str], view: tuple[str, int]) -> Compute:
        """The function that computes and caches analyses, by their names in the cache."""

        async def make(names: Sequence[str]) -> dict[str, AnalysisOutcome]:
            last = await self._cache.last(names) if view == self._default else {}
            results = await self._computing([symbols[name] for name in names], *view)
            made: dict[str, CachedAnalysis] = {}
            outcomes: dict[str, AnalysisOutcome] = {}
            for name in names:
                result = results[symbols[name]]
                if isinstance(result, Exception):
                    outcomes[name] = self._failure(name, result)
                    continue
                made[name] = entry = CachedAnalysis.of(result)
                is_new = view == self._default and changed(last.get(name), result)
                outcomes[name] = AnalysisOutcome(entry, changed=is_new)
                self._failures.drop(name)
            await self._keep(made, outcomes, last)
            _log_failed(outcomes)
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
        news = {name: each.analysis for name, each in made.items() if outcomes[name].changed}
        await self._cache.keep(made, news)
        if self._on_change is not None:
            for name, analysis in news.items():
                self._on_change(last.get(name), analysis)


def _log_failed(outcomes: Mapping[str, AnalysisOutcome]) -> None:
    """Log, in one line, the failures that are not the fault of a client."""
    failed = {
        name: outcome.error
        for name, outcome in outcomes.items()
        if not isinstance(outcome.error, (UnknownInstrumentError, NotEnoughBarsError, type(None)))
    }
    if failed:
        name, error = next(iter(failed.items()))
        log.warning("no analysis", count=len(failed), first=name, error=str(error))


def renewal_share(symbol: str) -> float:
    """Share of the TTL after which a symbol is renewed: its own, equal in every process."""
    part = zlib.crc32(symbol.encode()) / 2**32
    return EARLIEST_RENEWAL + (SOFT_END - EARLIEST_RENEWAL) * part
