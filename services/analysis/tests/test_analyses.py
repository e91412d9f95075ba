"""Analyses in one process: what is computed, cached, reported and evicted."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pytest

from streamdesk.analysis.adapters.cache.analysis_cache import AnalysisCache
from streamdesk.analysis.application.analyses.compute_analyses import ComputeAnalyses
from streamdesk.analysis.application.analyses.get_analyses import Analyses
from streamdesk.analysis.domain.hama import HamaAnalysis
from streamdesk.analysis.errors import NotEnoughBarsError
from streamdesk.bus import Bus, BusConfig
from streamdesk.indicators import PRESETS
from streamdesk.market import UNIVERSE, Answers
from streamdesk.market.errors import BarSourceUnavailableError, UnknownInstrumentError
from streamdesk.market.sources.chain import Chain
from streamdesk.market.sources.simulated import SimulatedBarSource

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SYMBOLS = [instrument.symbol for instrument in UNIVERSE]
Changes = list[tuple[HamaAnalysis | None, HamaAnalysis]]


class Market:
    """The simulated market with a clock of its own, which can be delayed, or fail."""

    name = "simulated"

    def __init__(self) -> None:
        self.now = NOON
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.wrong: Answers = {}
        self._market = SimulatedBarSource(1, lambda: self.now)

    async def latest(self, symbols: Sequence[str], interval_seconds: int, count: int) -> Answers:
        self.asked.extend(symbols)
        await self.open.wait()
        answers: Answers = await self._market.latest(symbols, interval_seconds, count)
        return answers | {name: each for name, each in self.wrong.items() if name in symbols}

    async def close(self) -> None:
        await self._market.close()


class Desk:
    """Analyses over a market, in memory or over a bus."""

    def __init__(
        self,
        market: Market,
        bus: Bus | None = None,
        entries: int = 1_000,
        look_seconds: float = 0,
    ) -> None:
        self.changes: Changes = []
        self.cache = AnalysisCache(
            None if bus is None else bus.keys,
            owner=secrets.token_hex(4),
            ttl_seconds=300,
            memory_entries=entries,
            look_seconds=look_seconds,
            timeout_seconds=60,
            clock=lambda: datetime.now(UTC),
        )
        self.analyses = Analyses(
            self.cache,
            ComputeAnalyses(
                dict.fromkeys(PRESETS, Chain([market], 400)), 600, lambda: datetime.now(UTC)
            ),
            preset="nsdt",
            interval_seconds=60,
            ttl_seconds=300,
            on_change=lambda before, after: self.changes.append((before, after)),
        )


@pytest.fixture
async def market() -> Market:
    return Market()


@pytest.fixture
async def desk(market: Market) -> AsyncIterator[Desk]:
    desk = Desk(market)
    yield desk
    await desk.analyses.close()


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    async with Bus.connect(BusConfig(url=f"memory://{secrets.token_hex(4)}")) as bus:
        yield bus


async def test_each_symbol_is_computed_once_however_many_ask_at_once(
    desk: Desk, market: Market
) -> None:
    batches = await asyncio.gather(*(desk.analyses.of(SYMBOLS[::way]) for way in (1, -1) * 20))
    assert sorted(market.asked) == sorted(SYMBOLS)
    assert all(list(batch) in (SYMBOLS, SYMBOLS[::-1]) for batch in batches)
    assert (await desk.analyses.stats()).computations == 78


@dataclass
class Clock:
    """A monotonic clock that a test sets."""

    seconds: float = 1_000.0

    def monotonic(self) -> float:
        return self.seconds


async def test_redis_is_asked_for_all_that_is_due_together_and_no_caller_waits_for_it(
    market: Market, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, asked = Clock(), []
    monkeypatch.setattr("streamdesk.analysis.adapters.cache.analysis_cache.time", clock)
    desk = Desk(market, bus, look_seconds=10)
    await desk.analyses.of(SYMBOLS)
    get = bus.keys.get

    async def noted(*names: str) -> list[bytes | None]:
        asked.append(len(names))
        return await get(*names)

    monkeypatch.setattr(bus.keys, "get", noted)

    async def looked(times: int) -> None:
        async with asyncio.timeout(60):
            while len(asked) < times or desk.cache._due:
                await asyncio.sleep(0.001)

    clock.seconds += 11
    assert all(desk.analyses.at_hand(symbol) for symbol in SYMBOLS * 3)
    await looked(1)
    assert asked == [78]
    assert all(desk.analyses.at_hand(symbol) for symbol in SYMBOLS), "as good as new"
    assert asked == [78]
    await bus.keys.drop("hama:analysis:AAPL.US")
    clock.seconds += 11
    assert desk.analyses.at_hand("AAPL.US") is not None, "for the last time"
    await looked(2)
    assert desk.analyses.at_hand("AAPL.US") is None
    clock.seconds += 21
    assert desk.analyses.at_hand("MSFT.US") is None, "no request for a long time"
    await desk.analyses.close()


async def test_memory_keeps_no_more_than_it_may_and_forgets_what_was_used_least_lately(
    market: Market,
) -> None:
    desk = Desk(market, entries=3)
    for symbol in SYMBOLS[:3]:
        await desk.analyses.of([symbol])
    assert desk.analyses.at_hand(SYMBOLS[0]) is not None
    await desk.analyses.of([SYMBOLS[3]])
    kept = (await desk.analyses.stats()).symbols
    assert kept == sorted([SYMBOLS[0], SYMBOLS[2], SYMBOLS[3]])
    assert desk.analyses.at_hand(SYMBOLS[1]) is None


async def test_a_client_that_leaves_does_not_end_what_others_wait_for(
    desk: Desk, market: Market
) -> None:
    market.open.clear()
    leaver = asyncio.create_task(desk.analyses.of(SYMBOLS[:5]))
    stayer = asyncio.create_task(desk.analyses.of(SYMBOLS[:5]))
    while not market.asked:
        await asyncio.sleep(0)
    leaver.cancel()
    market.open.set()
    outcomes = await stayer
    assert all(outcome.analysis is not None for outcome in outcomes.values())
    assert len(market.asked) == 5


async def test_a_change_is_reported_once_with_the_state_before(desk: Desk, market: Market) -> None:
    first = await desk.analyses.refresh(SYMBOLS)
    assert (first.refreshed, first.changed, len(desk.changes)) == (78, 78, 78)
    assert all(before is None for before, _ in desk.changes)
    assert (await desk.analyses.refresh(SYMBOLS)).changed == 0
    desk.changes.clear()
    market.now = datetime(2026, 11, 20, 18, tzinfo=UTC)
    later = await desk.analyses.refresh(SYMBOLS)
    assert 0 < later.changed == len(desk.changes) <= 78
    for before, after in desk.changes:
        assert before is not None
        assert (before.symbol, before.as_of) == (after.symbol, NOON)


async def test_what_one_replica_reported_another_does_not_report_again(
    market: Market, bus: Bus
) -> None:
    one, other = Desk(market, bus), Desk(market, bus)
    assert (await one.analyses.refresh(SYMBOLS)).changed == 78
    assert (await other.analyses.refresh(SYMBOLS)).changed == 0
    assert other.changes == []


async def test_another_preset_than_the_default_one_reports_no_change(desk: Desk) -> None:
    outcomes = await desk.analyses.of(["BTCUSDT"], preset="quantdinger")
    assert outcomes["BTCUSDT"].analysis is not None
    assert desk.changes == []


async def test_a_failure_answers_the_next_requests_too_and_does_not_fail_the_others(
    desk: Desk, market: Market
) -> None:
    short = SimulatedBarSource(1, lambda: NOON).bars(["AAPL.US"], 60, 0, 20)["AAPL.US"]
    broken = SimulatedBarSource(1, lambda: NOON).bars(["MSFT.US"], 60, 0, 600)["MSFT.US"]
    object.__setattr__(broken, "high", np.array([1.0]))  # what no source may answer
    market.wrong = {
        "AAPL.US": short,
        "MSFT.US": broken,
        "BTCUSDT": BarSourceUnavailableError("busy", retry_after_seconds=7),
    }
    asked = ["AAPL.US", "MSFT.US", "BTCUSDT", "NOPE.US", "ETHUSDT"]
    outcomes = await desk.analyses.of(asked)
    assert isinstance(outcomes["AAPL.US"].error, NotEnoughBarsError)
    assert "cannot be used" in str(outcomes["MSFT.US"].error)
    assert isinstance(outcomes["BTCUSDT"].error, BarSourceUnavailableError)
    assert isinstance(outcomes["NOPE.US"].error, UnknownInstrumentError)
    assert outcomes["ETHUSDT"].analysis is not None
    again = await desk.analyses.of(asked)
    assert [again[name].error for name in asked] == [outcomes[name].error for name in asked]
    assert market.asked == asked
    report = await desk.analyses.refresh(asked)  # who insists is heard
    assert (report.refreshed, set(report.failed)) == (1, set(asked) - {"ETHUSDT"})
    assert len(market.asked) == 2 * len(asked)


async def test_a_source_that_breaks_the_rules_fails_the_computation_and_not_the_service(
    desk: Desk, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def raising(*_: object) -> Answers:
        raise RuntimeError("no source may do this")

    monkeypatch.setattr(market, "latest", raising)
    outcome = (await desk.analyses.of(["BTCUSDT"]))["BTCUSDT"]
    assert "no source may do this" in str(outcome.error)
