"""The outcomes of requests for analyses."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from streamdesk.analysis.adapters.cache.cached_analysis import CachedAnalysis
from streamdesk.analysis.domain.hama import HamaAnalysis


@dataclass(frozen=True, slots=True)
class AnalysisOutcome:
    """An analysis, or why there is none.

    Attributes:
        entry: the analysis with its bytes; None if there is none.
        error: why there is none.
        cached: whether it was not computed for this request.
        stale: whether it is old, and being renewed.
        changed: whether it was computed here for this request, and its state is new.
    """

    entry: CachedAnalysis | None = None
    error: Exception | None = None
    cached: bool = False
    stale: bool = False
    changed: bool = False

    @property
    def analysis(self) -> HamaAnalysis | None:
        """The analysis; None if there is none."""
        return None if self.entry is None else self.entry.analysis


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """The outcome of a refresh.

    Attributes:
        refreshed: analyses computed anew, here or concurrently by another process.
        changed: those that were computed here and whose state is new.
        failed: the reasons, by symbol.
    """

    refreshed: int = 0
    changed: int = 0
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CacheStats:
    """Counts and content of the cache.

    Attributes:
        on_redis: whether Redis is used now.
        symbols: of the cached analyses, sorted.
        memory_hits: answers from the memory of this process, since it started.
        redis_hits: answers from Redis.
        misses: answers that had to be computed.
        computations: analyses that this process computed.
    """

    on_redis: bool
    symbols: Sequence[str]
    memory_hits: int
    redis_hits: int
    misses: int
    computations: int
