"""Points for a buy and for a sell, from 0 to 100, and the reasons for them.

Both sides are scored by the same five rules, one the mirror of the other. Each rule gives a part
from 0 to 1, which its weight turns into points:

    rsi        how far the RSI lies below 50 (above, for a sell); all points from 30 (70) on
    bollinger  how far the price lies below the middle band; all points at the lower band
    macd       how much the histogram rose within a bar, in tenths of the ATR; all points
               when it crossed zero
    trend      how far the short average lies above the long one, in ATRs
    volume     how far the volume lies above its mean, when the price moved towards the side;
               all points at twice the mean

So a buy scores best when, in a rising market, a dip ends on volume. A dip counts for `MEMORY`
bars, because the turn that MACD and volume show comes after it. An indicator without a value yet
gives 0 points, and its reason is "not enough bars".
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from streamdesk.contracts.events import Reason, Side
from streamdesk.indicators import IndicatorValues, Parameters
from streamdesk.strategy.errors import StrategyError

MEMORY = 3
"""Bars, the latest included, in which a low RSI or a touch of a band still counts."""

RSI_NEUTRAL = 50.0
RSI_REACH = 20.0
"""Distance from neutral that gives all points: 30 is oversold, 70 overbought."""

MACD_REACH = 0.1
"""Change of the histogram within a bar that gives all points, in ATRs."""

TREND_REACH = 1.0
"""Distance of the averages that gives all points, in ATRs."""

VOLUME_REACH = 1.0
"""Volume ratio above 1 that gives all points."""

NOT_ENOUGH = "not enough bars"


@dataclass(frozen=True, slots=True)
class Weights:
    """Most points each indicator can add; together 100.

    RSI weighs most, since it times the entry; volume least, since it only confirms.
    """

    rsi: float = 25
    bollinger: float = 20
    macd: float = 20
    trend: float = 20
    volume: float = 15

    def __post_init__(self) -> None:
        """Refuse weights that do not make a score from 0 to 100.

        Raises:
            StrategyError: a weight is negative or not a number, or they do not sum to 100.
        """
        weights = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in weights.items():
            if not value >= 0:
                raise StrategyError(f"weight of {name} is {value}; expected 0 or more")
        if not math.isclose(sum(weights.values()), 100):
            raise StrategyError(f"weights sum to {sum(weights.values())}; expected 100")


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known of an instrument at one bar.

    Args:
        close: close of the bar.
        previous_close: close of the bar before.
        recent: indicators of the last `MEMORY` bars, the latest last.
        bars: bars so far.
    """

    close: float
    previous_close: float
    recent: Sequence[tuple[float, IndicatorValues]]
    bars: int

    @property
    def now(self) -> IndicatorValues:
        """Indicators at the bar."""
        return self.recent[-1][1]

    @property
    def before(self) -> IndicatorValues:
        """Indicators one bar earlier."""
        return self.recent[-2][1] if len(self.recent) > 1 else IndicatorValues()


@dataclass(frozen=True, slots=True)
class SideScore:
    """Points for one side.

    Args:
        side: buy or sell.
        score: sum of the reasons' contributions, in hundredths exactly.
        reasons: one for each rule, and one for the ATR, which gives no points.
    """

    side: Side
    score: float
    reasons: tuple[Reason, ...]


RuleResult = tuple[float, str]
Rule = Callable[[Moment, int], RuleResult]


def score(moment: Moment, side: Side, weights: Weights, periods: Parameters) -> SideScore:
    """Points of one side at one bar.

    Args:
        moment: what is known at the bar.
        side: which side.
        weights: most points of each rule.
        periods: the indicators' periods, for the texts.
    """
    sign = 1 if side is Side.BUY else -1
    hundredths = 0
    reasons = []
    for name, rule in _RULES.items():
        part, text = rule(moment, sign)
        # In whole hundredths, so that the contributions sum to the score without a remainder.
        points = round(100 * getattr(weights, name) * min(1.0, max(0.0, part)))
        hundredths += points
        text = f"{text} ({_needs(name, moment, periods)})" if text.endswith(NOT_ENOUGH) else text
        reasons.append(Reason(indicator=name, contribution=points / 100, text=text))
    reasons.append(Reason(indicator="atr", contribution=0.0, text=_volatility(moment)))
    # Weights that are not whole hundredths may round to a few hundredths above 100.
    return SideScore(side, min(hundredths, 10_000) / 100, tuple(reasons))


def _needs(name: str, moment: Moment, periods: Parameters) -> str:
    needed = {
        "rsi": periods.rsi + 1,
        "bollinger": periods.bollinger,
        "macd": periods.macd_slow + periods.macd_signal,  # one more, for the change
        "trend": periods.sma_long,
        "volume": periods.volume + 1,
    }[name]
    return f"{moment.bars} of {needed}"


def _rsi(moment: Moment, sign: int) -> RuleResult:
    seen = [values.rsi for _, values in moment.recent if not math.isnan(values.rsi)]
    if not seen or math.isnan(moment.now.rsi):
        return 0.0, f"RSI: {NOT_ENOUGH}"
    # The best of the last bars: by the time that MACD and volume confirm a turn, the RSI has left
    # its extreme again.
    value = min(seen) if sign > 0 else max(seen)
    part = sign * (RSI_NEUTRAL - value) / RSI_REACH
    extreme, mild = ("oversold", "low") if sign > 0 else ("overbought", "high")
    word = extreme if part >= 1 else mild if part > 0 else "no help"
    if value == moment.now.rsi:
        return part, f"RSI {value:.1f} is {word}"
    return part, f"RSI {moment.now.rsi:.1f} was {value:.1f} a moment ago, which is {word}"


def _bollinger(moment: Moment, sign: int) -> RuleResult:
    if math.isnan(moment.now.bollinger_middle):
        return 0.0, f"Bollinger bands: {NOT_ENOUGH}"
    found = [_place(close, values) for close, values in moment.recent]
    places = [place for place in found if place is not None]
    if not places:
        return 0.0, "Bollinger bands have no width: the price stands still"
    # A place is -1 at the lower band, 0 in the middle, 1 at the upper band. As with the RSI, the
    # best of the last bars counts.
    place = min(places) if sign > 0 else max(places)
    band = "lower" if place < 0 else "upper"
    ago = "" if place == found[-1] else "a moment ago "
    return -sign * place, f"price {ago}{abs(place):.0%} of the way to the {band} band"


def _place(close: float, values: IndicatorValues) -> float | None:
    reach = values.bollinger_upper - values.bollinger_middle
    # Rounding leaves a constant price with bands some 1e-16 wide: that is no width.
    if not reach > 1e-9 * close:
        return None
    return (close - values.bollinger_middle) / reach


def _macd(moment: Moment, sign: int) -> RuleResult:
    now, before = moment.now.macd_histogram, moment.before.macd_histogram
    if math.isnan(now) or math.isnan(before):
        return 0.0, f"MACD: {NOT_ENOUGH}"
    if not moment.now.atr > 0:
        return 0.0, "MACD: the price stands still"
    # A crossing gives all points however small the change: it is the event that MACD waits for.
    if sign * now > 0 >= sign * before:
        return 1.0, f"MACD crossed its signal line {'up' if sign > 0 else 'down'}wards"
    change = (now - before) / moment.now.atr
    verb = "rose" if change >= 0 else "fell"
    return sign * change / MACD_REACH, f"MACD histogram {verb} by {abs(change):.2f} ATR"


def _trend(moment: Moment, sign: int) -> RuleResult:
    short, long = moment.now.sma_short, moment.now.sma_long
    if math.isnan(short) or math.isnan(long):
        return 0.0, f"trend: {NOT_ENOUGH}"
    if not moment.now.atr > 0:
        return 0.0, "trend: the price stands still"
    distance = (short - long) / moment.now.atr
    where = "above" if distance >= 0 else "below"
    text = f"short average {abs(distance):.2f} ATR {where} the long one"
    return sign * distance / TREND_REACH, text


def _volume(moment: Moment, sign: int) -> RuleResult:
    ratio = moment.now.volume_ratio
    if math.isnan(ratio):
        enough = moment.bars > 1 and not math.isnan(moment.now.bollinger_middle)
        return 0.0, "volume: nothing was traded before" if enough else f"volume: {NOT_ENOUGH}"
    change = moment.close - moment.previous_close
    way = "rising" if change > 0 else "falling" if change < 0 else "unchanged"
    text = f"volume {ratio:.2f} times its mean at a {way} price"
    # Volume confirms a move and points nowhere by itself: against the move it gives no points.
    return ((ratio - 1) / VOLUME_REACH if sign * change > 0 else 0.0), text


def _volatility(moment: Moment) -> str:
    atr = moment.now.atr
    if math.isnan(atr):
        return f"ATR: {NOT_ENOUGH}"
    return f"ATR {atr:.4g} ({atr / moment.close:.2%} of the price) sets the stops"


_RULES: dict[str, Rule] = {
    "rsi": _rsi,
    "bollinger": _bollinger,
    "macd": _macd,
    "trend": _trend,
    "volume": _volume,
}
