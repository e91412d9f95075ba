"""Several sources as one: the first that has enough bars of a symbol answers."""

from collections.abc import Sequence

from streamdesk.market.errors import BarSourceUnavailableError, MarketError, UnknownInstrumentError
from streamdesk.market.series import BarSeries
from streamdesk.market.sources.port import Answers, BarSource

REMEMBERED_SYMBOLS = 20_000

_Best = dict[str, tuple[BarSeries, str]]


class Chain:
    """Asks each source for the symbols that the sources before it could not serve.

    Where no source has `minimum_bars` of a symbol, the most bars that any has are the answer. Where
    none has any, the error is that of the first source that may have some later, and only if there
    is no such source, UnknownInstrumentError.

    Args:
        sources: in the order in which they are asked.
        minimum_bars: bars of a symbol that are enough; never more than were asked for.
    """

    name = "chain"

    def __init__(self, sources: Sequence[BarSource], minimum_bars: int) -> None:
        self._sources = tuple(sources)
        self._minimum_bars = minimum_bars
        self._source_of: dict[str, str] = {}

    def source_of(self, symbol: str) -> str:
        """The name of the source that last answered for this symbol; empty: none."""
        return self._source_of.get(symbol, "")

    async def latest(self, symbols: Sequence[str], interval_seconds: int, count: int) -> Answers:
        """The bars of each symbol, from any source; see `BarSource`."""
        found = await self.latest_with_sources(symbols, interval_seconds, count)
        return {symbol: answer for symbol, (answer, _) in found.items()}

    async def latest_with_sources(
        self, symbols: Sequence[str], interval_seconds: int, count: int
    ) -> dict[str, tuple[BarSeries | MarketError, str]]:
        """The same, each with the name of its source; the name is empty beside an error."""
        enough = min(self._minimum_bars, count)
        best: _Best = {}
        errors: dict[str, MarketError] = {}
        asked = list(dict.fromkeys(symbols))
        waiting = asked
        for source in self._sources:
            if not waiting:
                break
            answers = await _ask(source, waiting, interval_seconds, count)
            _keep_best(source.name, answers, best, errors)
            # A symbol with too few bars stays: the next source may have more of it.
            waiting = [s for s in waiting if s not in best or len(best[s][0]) < enough]
        self._remember({symbol: name for symbol, (_, name) in best.items()})
        return {
            symbol: best.get(symbol) or (errors.get(symbol) or UnknownInstrumentError(symbol), "")
            for symbol in asked
        }

    async def close(self) -> None:
        """Close all sources, even if closing one fails; raise the first failure afterwards."""
        failures = []
        for source in self._sources:
            try:
                await source.close()
            except Exception as error:  # noqa: BLE001 - the others have to be closed whatever the error
                failures.append(error)
        if failures:
            raise failures[0]

    def _remember(self, names: dict[str, str]) -> None:
        self._source_of.update(names)
        while len(self._source_of) > REMEMBERED_SYMBOLS:
            del self._source_of[next(iter(self._source_of))]


async def _ask(
    source: BarSource, symbols: Sequence[str], interval_seconds: int, count: int
) -> Answers:
    """The source's answers; if it raises against its contract, that error for each symbol."""
    try:
        return await source.latest(symbols, interval_seconds, count)
    except Exception as error:  # noqa: BLE001 - the next source is asked whatever the error
        failure = BarSourceUnavailableError(f"source {source.name} failed: {error!r}")
        return dict.fromkeys(symbols, failure)


def _keep_best(source: str, answers: Answers, best: _Best, errors: dict[str, MarketError]) -> None:
    """Keep of each symbol the longest series and the most telling error."""
    for symbol, answer in answers.items():
        if isinstance(answer, MarketError):
            errors[symbol] = _worse(errors.get(symbol), answer)
            continue
        # At equal length the earlier source stays; an empty series is no answer.
        longest = len(best[symbol][0]) if symbol in best else 0
        if len(answer) > longest:
            best[symbol] = (answer, source)


def _worse(before: MarketError | None, error: MarketError) -> MarketError:
    """The more telling error: most symbols are unknown to some source of the chain."""
    if before is None or isinstance(before, UnknownInstrumentError):
        return error
    return before
