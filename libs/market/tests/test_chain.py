from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest

from streamdesk.market import (
    BarSeries,
    BarSourceUnavailableError,
    MarketError,
    UnknownInstrumentError,
)
from streamdesk.market.sources.chain import REMEMBERED_SYMBOLS, Chain
from streamdesk.market.sources.port import Answers
from streamdesk.market.sources.simulated import SimulatedBarSource

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
MARKET = SimulatedBarSource(1, lambda: NOW)


class Listed:
    """A source that has so many bars of each symbol it lists, or fails as listed."""

    def __init__(self, name: str, has: Mapping[str, int | MarketError]) -> None:
        self.name = name
        self.has = has
        self.asked: list[list[str]] = []
        self.closed = False

    async def latest(self, symbols: Sequence[str], interval_seconds: int, count: int) -> Answers:
        self.asked.append(list(symbols))
        answers: Answers = {}
        for symbol in symbols:
            has = self.has.get(symbol, UnknownInstrumentError(symbol))
            if isinstance(has, MarketError):
                answers[symbol] = has
            else:
                series = MARKET.bars(["AAPL.US"], interval_seconds, 1_000, min(has, count))
                answers[symbol] = series["AAPL.US"]
        return answers

    async def close(self) -> None:
        self.closed = True


class Broken(Listed):
    async def latest(self, *_: object) -> Answers:
        raise RuntimeError("out of order")

    async def close(self) -> None:
        raise RuntimeError("cannot be closed")


def length(answer: BarSeries | MarketError) -> int:
    assert isinstance(answer, BarSeries), answer
    return len(answer)


async def test_the_first_source_with_enough_bars_answers_and_no_other_is_asked() -> None:
    store, other = Listed("store", {"A": 60}), Listed("other", {"A": 600})
    chain = Chain([store, other], minimum_bars=50)
    assert length((await chain.latest(["A"], 60, 600))["A"]) == 60
    assert chain.source_of("A") == "store"
    assert other.asked == []


async def test_a_source_is_asked_only_for_what_those_before_it_lack() -> None:
    store = Listed("store", {"A": 60, "B": 10})
    other = Listed("other", {"B": 60, "C": 60})
    chain = Chain([store, other], minimum_bars=50)
    found = await chain.latest_with_sources(["C", "A", "B", "A"], 60, 600)
    assert {symbol: source for symbol, (_, source) in found.items()} == {
        "C": "other",
        "A": "store",
        "B": "other",
    }
    assert store.asked == [["C", "A", "B"]]
    assert other.asked == [["C", "B"]]


async def test_where_none_has_enough_the_most_bars_are_taken_and_of_equals_the_first() -> None:
    sources = [Listed("one", {"A": 7}), Listed("two", {"A": 9}), Listed("three", {"A": 9})]
    chain = Chain(sources, minimum_bars=50)
    assert length((await chain.latest(["A"], 60, 600))["A"]) == 9
    assert chain.source_of("A") == "two"


async def test_fewer_bars_are_enough_where_fewer_were_asked_for() -> None:
    first, second = Listed("first", {"A": 60}), Listed("second", {"A": 60})
    assert length((await Chain([first, second], 50).latest(["A"], 60, 5))["A"]) == 5
    assert second.asked == []


async def test_an_empty_series_is_no_answer() -> None:
    chain = Chain([Listed("store", {"A": 0}), Listed("other", {"A": 3})], minimum_bars=50)
    assert length((await chain.latest(["A"], 60, 600))["A"]) == 3


@pytest.mark.parametrize("order", [1, -1])
async def test_an_error_that_may_pass_takes_precedence_over_an_unknown_symbol(
    order: int,
) -> None:
    away = BarSourceUnavailableError("asked to slow down", 30.0)
    sources = [Listed("store", {}), Listed("away", {"A": away})][::order]
    chain = Chain(sources, minimum_bars=50)
    assert (await chain.latest_with_sources(["A"], 60, 600))["A"] == (away, "")
    assert chain.source_of("A") == ""


async def test_what_no_source_has_is_unknown() -> None:
    answers = await Chain([Listed("store", {})], minimum_bars=50).latest(["A"], 60, 600)
    assert isinstance(answers["A"], UnknownInstrumentError)
    assert isinstance((await Chain([], 50).latest(["A"], 60, 600))["A"], UnknownInstrumentError)


async def test_a_source_that_raises_is_passed_over() -> None:
    chain = Chain([Broken("broken", {}), Listed("other", {"A": 60})], minimum_bars=50)
    assert length((await chain.latest(["A"], 60, 600))["A"]) == 60


async def test_if_it_was_the_only_one_its_failure_is_told() -> None:
    answers = await Chain([Broken("broken", {})], minimum_bars=50).latest(["A"], 60, 600)
    assert "source broken failed: RuntimeError('out of order')" in str(answers["A"])


async def test_all_sources_are_closed_even_if_one_cannot_be() -> None:
    last = Listed("last", {})
    with pytest.raises(RuntimeError, match="cannot be closed"):
        await Chain([Broken("broken", {}), last], minimum_bars=50).close()
    assert last.closed


async def test_the_memory_of_sources_is_bounded() -> None:
    names = [f"S{number}" for number in range(REMEMBERED_SYMBOLS + 10)]
    chain = Chain([Listed("store", dict.fromkeys(names[:10] + names[-10:], 1))], minimum_bars=1)
    chain._remember(dict.fromkeys(names[:-10], "store"))
    await chain.latest(names[-10:], 60, 1)
    assert (chain.source_of(names[0]), chain.source_of(names[-1])) == ("", "store")
