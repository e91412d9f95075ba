import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from streamdesk.contracts.events import BarClosed, ExitOptions, Side, SignalType
from streamdesk.strategy.scanner import (
    MIN_BARS,
    BelowThreshold,
    CoolingDown,
    NotEnoughBars,
    Scanner,
    ScanRules,
)
from streamdesk.strategy.signals import SignalDraft, Thresholds

BarOf = Callable[..., BarClosed]
EVERYTHING = ScanRules(Thresholds(0, 0, 0, 0), cooldown_bars=0)


def wave(bar_of: BarOf, number: int, symbol: str = "AAPL.US") -> BarClosed:
    """A market that swings: every 25 bars from top to bottom and back."""
    price = 100 + 8 * math.sin(number / 4)
    return bar_of(
        symbol,
        number,
        price,
        high=price + 0.5,
        low=price - 0.5,
        volume=1000.0 + 900 * math.cos(number),
    )


def verdicts(scanner: Scanner, bar_of: BarOf, count: int = 200) -> list[Any]:
    return [scanner.scan(wave(bar_of, number)) for number in range(count)]


def test_there_is_no_signal_before_30_bars_but_a_verdict_that_says_so(bar_of: BarOf) -> None:
    results = verdicts(Scanner(EVERYTHING), bar_of, MIN_BARS)
    assert results[:-1] == [NotEnoughBars("AAPL.US", bars, 30) for bars in range(1, 30)]
    assert isinstance(results[-1], SignalDraft)


def test_history_counts_as_bars_and_gives_no_signals(bar_of: BarOf) -> None:
    scanner = Scanner(EVERYTHING)
    for number in range(MIN_BARS - 1):
        scanner.learn(wave(bar_of, number))
    assert isinstance(scanner.scan(wave(bar_of, MIN_BARS - 1)), SignalDraft)


def test_each_instrument_needs_its_own_bars(bar_of: BarOf) -> None:
    scanner = Scanner(EVERYTHING)
    verdicts(scanner, bar_of)
    assert scanner.scan(wave(bar_of, 200, "700.HK")) == NotEnoughBars("700.HK", 1)


def test_a_signal_carries_price_stops_reasons_and_indicators(bar_of: BarOf) -> None:
    drafts = [v for v in verdicts(Scanner(), bar_of) if isinstance(v, SignalDraft)]
    assert {draft.score.side for draft in drafts} == set(Side)
    for draft in drafts:
        sign = 1 if draft.score.side is Side.BUY else -1
        assert draft.stop_loss is not None
        assert draft.take_profit is not None
        assert sign * (draft.price - draft.stop_loss) > 0
        assert sign * (draft.take_profit - draft.price) > 0
        atr = draft.indicators["atr"]
        assert abs(draft.price - draft.stop_loss) == pytest.approx(2 * atr, abs=1e-3)
        names = [reason.indicator for reason in draft.score.reasons]
        assert names == ["rsi", "bollinger", "macd", "trend", "volume", "atr"]


def test_only_a_buy_carries_further_ways_out(bar_of: BarOf) -> None:
    options = ExitOptions(trail_percent=5)
    found = verdicts(Scanner(ScanRules(exit_options=options)), bar_of)
    drafts = [draft for draft in found if isinstance(draft, SignalDraft)]
    assert {(draft.score.side, draft.exits) for draft in drafts} == {
        (Side.BUY, options),
        (Side.SELL, None),
    }


def test_below_the_threshold_nothing_is_sent(bar_of: BarOf) -> None:
    scanner = Scanner(ScanRules(Thresholds(100, 100, 100, 100)))
    results = verdicts(scanner, bar_of)[MIN_BARS:]
    assert all(isinstance(result, BelowThreshold) for result in results)


def test_the_side_with_more_points_wins(bar_of: BarOf) -> None:
    free, picky = Scanner(EVERYTHING), Scanner(ScanRules(Thresholds(100, 100, 100, 100)))
    for number in range(120):
        draft, best = (scanner.scan(wave(bar_of, number)) for scanner in (free, picky))
        if isinstance(draft, SignalDraft) and isinstance(best, BelowThreshold):
            assert draft.score == best.best


def test_a_flat_market_gives_no_signal(bar_of: BarOf) -> None:
    scanner = Scanner()
    results = [scanner.scan(bar_of(number=number)) for number in range(100)]
    assert all(isinstance(result, BelowThreshold) for result in results[MIN_BARS:])


def test_one_situation_is_signalled_once_within_the_cooldown(bar_of: BarOf) -> None:
    scanner = Scanner(ScanRules(Thresholds(0, 100, 100, 100), cooldown_bars=10))
    results = verdicts(scanner, bar_of, 100)
    sent = [number for number, result in enumerate(results) if isinstance(result, SignalDraft)]
    assert all(later - earlier > 10 for earlier, later in pairwise(sent))
    held = [result for result in results if isinstance(result, CoolingDown)]
    assert held
    assert all(1 <= result.bars_left <= 10 for result in held)


def test_a_stronger_type_does_not_wait_for_the_cooldown(bar_of: BarOf) -> None:
    scanner = Scanner(ScanRules(Thresholds(5, 60, 100, 100), cooldown_bars=1_000))
    drafts = [v for v in verdicts(scanner, bar_of) if isinstance(v, SignalDraft)]
    assert [draft.type for draft in drafts] == [SignalType.WEAK_BUY, SignalType.BUY]


def test_the_other_side_does_not_wait_for_the_cooldown(bar_of: BarOf) -> None:
    scanner = Scanner(ScanRules(Thresholds(30, 30, 30, 30), cooldown_bars=1_000))
    drafts = [v for v in verdicts(scanner, bar_of) if isinstance(v, SignalDraft)]
    assert sorted(draft.score.side for draft in drafts) == ["BUY", "SELL"]


def test_without_a_cooldown_every_bar_may_signal(bar_of: BarOf) -> None:
    results = verdicts(Scanner(EVERYTHING), bar_of)
    assert all(isinstance(result, SignalDraft) for result in results[MIN_BARS:])


def test_the_same_bars_give_the_same_signals(bar_of: BarOf) -> None:
    assert verdicts(Scanner(), bar_of) == verdicts(Scanner(), bar_of)


def test_the_parameters_hold_every_number_of_the_rules() -> None:
    parameters = ScanRules().parameters()
    assert parameters["score_minimum"] == 30
    assert parameters["atr_stop_loss"] == 2
    assert parameters["weight_rsi"] == 25
    assert parameters["period_macd_slow"] == 26
    assert (parameters["cooldown_bars"], parameters["min_bars"]) == (10, 30)


def test_the_latest_indicators_of_an_unknown_instrument_are_none() -> None:
    assert Scanner().indicators("AAPL.US") == {}
