import statistics
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice, pairwise

import pytest

from streamdesk.contracts.events import BarClosed, SignalType
from streamdesk.market.instruments import BUILT_IN, Instrument, on_tick, tick_size
from streamdesk.runtime import Drain
from streamdesk.signal_generator.adapters.feeds.simulated import SimulatedFeed, SimulatedMarket
from streamdesk.signal_generator.domain.simulation import Walk
from streamdesk.strategy.scanner import Scanner
from streamdesk.strategy.signals import SignalDraft

START = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
KNOWN_CLOSES = [622.0, 623.5, 625.0, 619.5, 620.0]
KNOWN_VOLUMES = [6500.0, 5300.0, 3800.0, 11000.0, 2900.0]
TENCENT = Instrument("700.HK", 620.0, 100, "HKD")


def bars(instrument: Instrument, seed: int = 1, count: int = 500) -> list[BarClosed]:
    return list(islice(Walk(instrument, seed=seed, start=START, interval_seconds=60), count))


async def nothing_published(_since: datetime) -> AsyncIterator[BarClosed]:
    return
    yield


def feed(seed: int = 1, bars_per_second: float = 0) -> SimulatedFeed:
    market = SimulatedMarket(
        BUILT_IN,
        seed=seed,
        start=START,
        interval_seconds=1,
        bars_per_second=bars_per_second,
        history_bars=60,
    )
    return SimulatedFeed(market, nothing_published, lambda: START)


def test_the_same_seed_gives_the_very_same_bars() -> None:
    assert bars(TENCENT, seed=7) == bars(TENCENT, seed=7)


def test_another_seed_gives_other_bars() -> None:
    assert bars(TENCENT, seed=7) != bars(TENCENT, seed=8)


def test_a_known_seed_gives_known_bars_on_every_machine() -> None:
    closes = [bar.close for bar in bars(TENCENT, seed=1, count=5)]
    volumes = [bar.volume for bar in bars(TENCENT, seed=1, count=5)]
    assert (closes, volumes) == (KNOWN_CLOSES, KNOWN_VOLUMES)


@pytest.mark.parametrize("instrument", BUILT_IN, ids=lambda i: i.symbol)
def test_prices_lie_on_ticks_and_volumes_are_whole_lots(instrument: Instrument) -> None:
    for bar in bars(instrument):
        for price in (bar.open, bar.high, bar.low, bar.close):
            tick = tick_size(instrument.market, price)
            assert Decimal(str(price)) % Decimal(str(tick)) == 0
        assert bar.volume > 0
        assert bar.volume % instrument.lot_size == 0


def test_bars_follow_each_other_at_the_interval() -> None:
    times = [bar.timestamp for bar in bars(TENCENT, count=50)]
    steps = {(b - a).total_seconds() for a, b in pairwise(times)}
    assert steps == {60}


def test_there_are_gaps_bursts_and_trends() -> None:
    seen = bars(TENCENT, count=3_000)
    gaps = [abs(b.open / a.close - 1) for a, b in pairwise(seen)]
    usual = statistics.median(bar.volume for bar in seen)
    rises = [b.close > a.close for a, b in zip(seen, seen[20:], strict=False)]
    assert max(gaps) > 0.01
    assert statistics.median(gaps) == 0
    assert max(bar.volume for bar in seen) > 5 * usual
    assert 0.2 < sum(rises) / len(rises) < 0.8


def test_a_market_that_runs_for_long_stays_near_its_start() -> None:
    closes = [bar.close for bar in bars(TENCENT, count=20_000)]
    assert 0.5 * 620 < min(closes) < max(closes) < 2 * 620


async def test_the_history_has_sixty_bars_an_instrument_and_ends_at_the_start() -> None:
    batches = [batch async for batch in feed().history(Drain())]
    assert [batch.bars[0].symbol for batch in batches] == [i.symbol for i in BUILT_IN]
    assert {len(batch.bars) for batch in batches} == {60}
    assert {batch.bars[-1].timestamp for batch in batches} == {START}


async def test_a_history_ends_early_when_the_process_is_asked_to_stop() -> None:
    drain = Drain()
    drain.request()
    assert [batch async for batch in feed().history(drain)] == []


async def test_every_kind_of_signal_comes_within_twenty_bars() -> None:
    kinds: Counter[SignalType] = Counter()
    market, scanner, drain = feed(), Scanner(), Drain()
    async for batch in market.history(drain):
        for bar in batch.bars:
            scanner.learn(bar)
    moments = 0
    async for batch in market.live(drain):
        drafts = [scanner.scan(bar) for bar in batch.bars]
        kinds.update(draft.type for draft in drafts if isinstance(draft, SignalDraft))
        moments += 1
        if moments == 20:
            drain.request()
    assert moments == 20
    assert set(kinds) == set(SignalType)


async def test_a_feed_at_a_pace_stops_at_once_when_asked() -> None:
    drain = Drain()
    slow = feed(bars_per_second=0.001).live(drain)
    assert len((await anext(slow)).bars) == len(BUILT_IN)  # the first step does not wait
    drain.request()
    with pytest.raises(StopAsyncIteration):
        await anext(slow)


@pytest.mark.parametrize(
    ("market", "price", "expected"),
    [
        ("US", 271.238, 271.24),
        ("US", 0.12344, 0.1234),
        ("HK", 0.2, 0.2),
        ("HK", 42.013, 42.02),
        ("HK", 620.3, 620.5),
        ("US", 0.0000001, 0.0001),
    ],
)
def test_a_price_is_rounded_to_the_tick_of_its_market(
    market: str, price: float, expected: float
) -> None:
    assert on_tick(market, price) == expected
