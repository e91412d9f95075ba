"""What somebody who asked for an analysis gets."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from streamdesk.analysis.adapters.cache.cached_analysis import CachedAnalysis
from streamdesk.analysis.domain.hama import HamaAnalysis


@dataclass(frozen=True, slots=True)
class AnalysisOutcome:
    """An analysis, or why there is none.

    Attributes:
        entry: the analysis as it is kept; None when there is none.
        error: why there is none.
        cached: nobody had to compute it for this answer.
        stale: it is old enough that it is being made anew.
        changed: it was computed here just now, and says something new.
    """

    entry: CachedAnalysis | None = None
    error: Exception | None = None
    cached: bool = False
    stale: bool = False
    changed: bool = False

    @property
    def analysis(self) -> HamaAnalysis | None:
        """What HAMA says."""
        return None if self.entry is None else self.entry.analysis


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """What became of a refresh.

    Attributes:
        refreshed: analyses made anew, here or by another process at this moment.
        changed: those that say something new, as far as they were made here.
        failed: why, by symbol.
    """

    refreshed: int = 0
    changed: int = 0
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CacheStats:
    """How the cache is doing.

    Attributes:
        on_redis: whether Redis is used now.
        symbols: what is kept, sorted.
        memory_hits: answers from this process's memory, since it started.
        redis_hits: answers from Redis.
        misses: answers that somebody waited for.
        computations: analyses this process computed.
    """

    on_redis: bool
    symbols: Sequence[str]
    memory_hits: int
    redis_hits: int
    misses: int
    computations: int
