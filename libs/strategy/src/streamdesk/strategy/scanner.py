"""Scans all instruments bar by bar: the state between bars, and the verdict on each."""

from collections import deque
from dataclasses import dataclass, field

from streamdesk.contracts.events import BarClosed, ExitOptions, Side, SignalType
from streamdesk.indicators import IndicatorSet, IndicatorValues, Parameters
from streamdesk.strategy.scoring import MEMORY, Moment, SideScore, Weights, score
from streamdesk.strategy.signals import Exits, SignalDraft, Thresholds, exit_prices, known

MIN_BARS = 30
"""Bars of an instrument before its first signal; with fewer, too few indicators have a value."""

_RANK = {
    SignalType.WEAK_BUY: 1,
    SignalType.BUY: 2,
    SignalType.STRONG_BUY: 3,
    SignalType.SELL: 3,
}


@dataclass(frozen=True, slots=True)
class ScanRules:
    """Everything that a verdict depends on besides the bars.

    Args:
        thresholds: least scores of the types.
        exits: distance of stop loss and take profit.
        exit_options: further ways out of what is bought; None: there are none.
        weights: most points of each rule.
        periods: of the indicators.
        cooldown_bars: bars after a signal in which the instrument gives no other of the same
            side, unless of a stronger type; 0 for none.
    """

    thresholds: Thresholds = field(default_factory=Thresholds)
    exits: Exits = field(default_factory=Exits)
    weights: Weights = field(default_factory=Weights)
    periods: Parameters = field(default_factory=Parameters)
    cooldown_bars: int = 10
    exit_options: ExitOptions | None = None

    def parameters(self) -> dict[str, float]:
        """All numbers by name, as `StrategyUpdated` carries them."""
        groups: tuple[tuple[str, Thresholds | Exits | Weights | Parameters], ...] = (
            ("score", self.thresholds),
            ("atr", self.exits),
            ("weight", self.weights),
            ("period", self.periods),
        )
        numbers = {
            f"{prefix}_{name}": float(getattr(group, name))
            for prefix, group in groups
            for name in group.__slots__
        }
        options = self.exit_options.model_dump(exclude_none=True) if self.exit_options else {}
        numbers |= {f"exit_{name}": float(value) for name, value in options.items()}
        return numbers | {"cooldown_bars": self.cooldown_bars, "min_bars": MIN_BARS}


@dataclass(frozen=True, slots=True)
class NotEnoughBars:
    """No verdict yet."""

    symbol: str
    bars: int
    needed: int = MIN_BARS


@dataclass(frozen=True, slots=True)
class BelowThreshold:
    """Neither side scores enough.

    Args:
        symbol: the instrument.
        best: the better of the two sides.
    """

    symbol: str
    best: SideScore


@dataclass(frozen=True, slots=True)
class CoolingDown:
    """A signal, but the same situation was signalled within the cooldown.

    Args:
        symbol: the instrument.
        score: score of the withheld signal.
        bars_left: bars until the side may signal again.
    """

    symbol: str
    score: SideScore
    bars_left: int


Verdict = SignalDraft | NotEnoughBars | BelowThreshold | CoolingDown


@dataclass(slots=True)
class _Instrument:
    indicators: IndicatorSet
    recent: deque[tuple[float, IndicatorValues]] = field(
        default_factory=lambda: deque(maxlen=MEMORY)
    )
    close: float = 0.0
    previous_close: float = 0.0
    signalled: dict[Side, tuple[int, int]] = field(default_factory=dict)
    """By side: the bar of the last signal, and its rank."""


class Scanner:
    """The state of all instruments. The same bars always give the same verdicts."""

    def __init__(self, rules: ScanRules | None = None) -> None:
        self.rules = rules or ScanRules()
        self._instruments: dict[str, _Instrument] = {}

    def learn(self, bar: BarClosed) -> None:
        """Take a bar of the past: it feeds the indicators and gives no signal."""
        instrument = self._instruments.get(bar.symbol)
        if instrument is None:
            instrument = _Instrument(IndicatorSet(self.rules.periods))
            self._instruments[bar.symbol] = instrument
        values = instrument.indicators.update(bar.high, bar.low, bar.close, bar.volume)
        instrument.recent.append((bar.close, values))
        # Without a bar before it the first one did not move.
        instrument.previous_close = instrument.close or bar.close
        instrument.close = bar.close

    def indicators(self, symbol: str) -> dict[str, float]:
        """The indicators of an instrument that have a value, at its latest bar."""
        instrument = self._instruments.get(symbol)
        return known(instrument.indicators.values) if instrument else {}

    def scan(self, bar: BarClosed) -> Verdict:
        """Take a bar that just closed and return the verdict on it."""
        self.learn(bar)
        instrument = self._instruments[bar.symbol]
        bars = instrument.indicators.bars
        if bars < MIN_BARS:
            return NotEnoughBars(bar.symbol, bars)
        moment = Moment(
            close=instrument.close,
            previous_close=instrument.previous_close,
            recent=tuple(instrument.recent),
            bars=bars,
        )
        return self._judge(bar, instrument, moment)

    def _judge(self, bar: BarClosed, instrument: _Instrument, moment: Moment) -> Verdict:
        rules = self.rules
        buy, sell = (score(moment, side, rules.weights, rules.periods) for side in Side)
        # Of two sides that both have enough points the higher wins. On a tie it is the sell,
        # because it protects.
        first, second = (buy, sell) if buy.score > sell.score else (sell, buy)
        for candidate in (first, second):
            kind = rules.thresholds.type_of(candidate.side, candidate.score)
            if kind is not None:
                break
        else:
            return BelowThreshold(bar.symbol, first)
        left = self._cooldown_left(instrument, candidate.side, kind, moment.bars)
        if left > 0:
            return CoolingDown(bar.symbol, candidate, left)
        instrument.signalled[candidate.side] = (moment.bars, _RANK[kind])
        stop_loss, take_profit = exit_prices(candidate.side, bar.close, moment.now.atr, rules.exits)
        return SignalDraft(
            symbol=bar.symbol,
            type=kind,
            score=candidate,
            price=bar.close,
            stop_loss=stop_loss,
            take_profit=take_profit,
            exits=rules.exit_options if candidate.side is Side.BUY else None,
            indicators=known(moment.now),
            timestamp=bar.timestamp,
        )

    def _cooldown_left(
        self, instrument: _Instrument, side: Side, kind: SignalType, bars: int
    ) -> int:
        if side not in instrument.signalled:
            return 0
        at, rank = instrument.signalled[side]
        # A stronger type is news, however soon after the weaker one it comes.
        return 0 if _RANK[kind] > rank else at + self.rules.cooldown_bars + 1 - bars
