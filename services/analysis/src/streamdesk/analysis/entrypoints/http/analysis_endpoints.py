"""The endpoints of analyses and of their cache."""

from collections.abc import Callable, Iterable, Sequence

from streamdesk.analysis.application.analyses.get_analyses import Analyses
from streamdesk.analysis.application.analyses.outcomes import AnalysisOutcome, RefreshReport
from streamdesk.analysis.entrypoints.http.answers import CacheReport, Preloaded
from streamdesk.analysis.entrypoints.http.replies import AnalysisReplies, HttpReply, success
from streamdesk.analysis.entrypoints.http.requests import (
    BatchQuestion,
    PreloadQuestion,
    SymbolQuestion,
    check_size,
    read,
)

AskedFor = Callable[[Iterable[str]], None]


class AnalysisEndpoints:
    """The endpoints of analyses.

    Args:
        analyses: the use case.
        symbols: for a preload that names none.
        asked_for: called with the symbols of a request that exist.
        max_batch: most symbols of a request.
        redis_wanted: whether Redis is enabled.
    """

    def __init__(
        self,
        analyses: Analyses,
        symbols: Sequence[str],
        asked_for: AskedFor,
        *,
        max_batch: int,
        redis_wanted: bool,
    ) -> None:
        self._analyses = analyses
        self._symbols = symbols
        self._asked_for = asked_for
        self._redis_wanted = redis_wanted
        self._replies = AnalysisReplies(analyses.soft_seconds, analyses.ttl_seconds)
        self.max_batch = max_batch

    async def symbol(self, body: bytes, if_none_match: bytes = b"") -> HttpReply:
        """The analysis of one instrument: cached, or computed now."""
        return await self.question(read(SymbolQuestion, body), if_none_match)

    async def question(self, question: SymbolQuestion, if_none_match: bytes = b"") -> HttpReply:
        """The analysis of one instrument."""
        symbol, preset, seconds = question.symbol, question.preset, question.interval_seconds
        fresh = question.force_refresh
        outcome = None if fresh else self._analyses.at_hand(symbol, preset, seconds)
        if outcome is None:
            outcomes = await self._analyses.of(
                [symbol], fresh=fresh, preset=preset, interval_seconds=seconds
            )
            outcome = outcomes[symbol]
        self._note({symbol: outcome})
        return self._replies.one(outcome, if_none_match)

    async def batch(self, body: bytes, if_none_match: bytes = b"") -> HttpReply:
        """The analyses of several instruments; those without one are named in `errors`."""
        question = read(BatchQuestion, body)
        check_size(question.symbols, self.max_batch)
        outcomes = await self._analyses.of(
            question.symbols,
            fresh=question.force_refresh,
            preset=question.preset,
            interval_seconds=question.interval_seconds,
        )
        self._note(outcomes)
        return self._replies.many(outcomes, if_none_match)

    async def preload(self, body: bytes, _if_none_match: bytes = b"") -> HttpReply:
        """Compute analyses now: of the default instruments, or of those named."""
        question = read(PreloadQuestion, body or b"{}")
        symbols = question.symbols or tuple(self._symbols)
        if question.symbols is not None:
            check_size(question.symbols, self.max_batch)
        report = await self._analyses.refresh(symbols)
        return success(preloaded(report))

    async def cache_report(self) -> CacheReport:
        """Counts and content of the cache."""
        stats = await self._analyses.stats()
        return CacheReport(
            cache_type="redis" if stats.on_redis else "memory",
            cached_symbols=len(stats.symbols),
            cache_duration_minutes=self._analyses.ttl_seconds / 60,
            symbols=list(stats.symbols),
            memory_cache_fallback=self._redis_wanted and not stats.on_redis,
            hits_memory=stats.memory_hits,
            hits_redis=stats.redis_hits,
            misses=stats.misses,
            computations=stats.computations,
        )

    def _note(self, outcomes: dict[str, AnalysisOutcome]) -> None:
        self._asked_for([symbol for symbol, each in outcomes.items() if each.entry is not None])


def preloaded(report: RefreshReport) -> Preloaded:
    """The answer about a refresh."""
    return Preloaded(
        symbols_count=report.refreshed + len(report.failed),
        refreshed=report.refreshed,
        changed=report.changed,
        failed=report.failed,
    )
