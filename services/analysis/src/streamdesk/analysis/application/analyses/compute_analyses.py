"""Computes analyses from the bars of a source."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from streamdesk.analysis.adapters.cache.cached_analysis import Clock
from streamdesk.analysis.domain.hama import HamaAnalysis, analyse, bars_needed
from streamdesk.analysis.errors import BrokenAnalysisError, NotEnoughBarsError
from streamdesk.indicators import InputError
from streamdesk.market import BarSeries, MarketError
from streamdesk.market.errors import BarSourceUnavailableError, UnknownInstrumentError
from streamdesk.market.sources.chain import Chain
from streamdesk.runtime import logger, metrics

log = logger(__name__)

Result = HamaAnalysis | Exception


class ComputeAnalyses:
    """Computes the analyses of several instruments.

    Args:
        chains: the sources of the bars, by preset.
        bars: how many bars of an instrument are used.
        clock: the time of day, for `computed_at`.
    """

    def __init__(self, chains: Mapping[str, Chain], bars: int, clock: Clock) -> None:
        self._chains = chains
        self._bars = bars
        self._clock = clock

    async def __call__(
        self, symbols: Sequence[str], preset: str, interval_seconds: int
    ) -> dict[str, Result]:
        """The analysis of each symbol, or the error that prevented it."""
        began = time.perf_counter()
        # A preset may need more bars than are used by default.
        bars = max(self._bars, bars_needed(preset))
        chain = self._chains[preset]
        answers = await chain.latest(symbols, interval_seconds, bars)
        sources = {symbol: chain.source_of(symbol) for symbol in symbols}
        results: dict[str, Result] = {}
        for symbol in symbols:
            result = self._one(symbol, answers.get(symbol), sources[symbol], preset)
            results[symbol] = result
            if isinstance(result, HamaAnalysis):
                metrics.HAMA_COMPUTATIONS.inc()
            else:
                metrics.HAMA_COMPUTE_FAILURES.labels(_reason(result)).inc()
            await asyncio.sleep(0)  # let requests in that the cache can answer
        metrics.HAMA_COMPUTE_DURATION.observe(time.perf_counter() - began)
        return results

    def _one(
        self, symbol: str, series: BarSeries | MarketError | None, source: str, preset: str
    ) -> Result:
        if series is None:
            return BarSourceUnavailableError(
                f"{symbol}: the source did not answer for it; ask again"
            )
        if isinstance(series, MarketError):
            return series
        try:
            return analyse(series, preset, source=source, computed_at=self._clock())
        except NotEnoughBarsError as error:
            return error
        except InputError as error:
            return BarSourceUnavailableError(f"{symbol}: its bars cannot be used: {error}")
        except Exception:
            # A bug that the numbers of one instrument trigger must not fail the others.
            log.exception("analysis failed", symbol=symbol, preset=preset)
            return BrokenAnalysisError(f"{symbol}: the analysis failed; the service's log says how")


def _reason(error: Exception) -> str:
    for kind, reason in (
        (UnknownInstrumentError, "unknown-symbol"),
        (NotEnoughBarsError, "not-enough-bars"),
        (BarSourceUnavailableError, "source-unavailable"),
    ):
        if isinstance(error, kind):
            return reason
    return "broken"
