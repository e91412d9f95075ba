"""The HAMA analysis of an instrument: its state, its score, and the numbers behind them.

Signs first, each 1, -1 or, where nothing moved or not enough, 0:

    direction   which way the candle's open went from the bar before; 1 paints the candle green
    side        on which side of the line the candle's close is; 1 is above
    trend       which way the line went from the bar before

The state is bullish when direction and side are 1, bearish when both are -1, else neutral. With
ATR the average true range of 14 bars, and every term in brackets limited to -1 ... 1,

    score = 50 + 15 * direction + 15 * side
               +  8 * [(candle's close - line) / (2 * ATR)]
               +  6 * [(line - line one bar before) / (0.1 * ATR)]
               +  6 * [(close - middle band) / (upper band - middle band)]

rounded to hundredths. So a bullish score is 60 to 100, a bearish one 0 to 40, a neutral one 30 to
70; constant prices score 50, and prices mirrored about a level score 100 minus the score. State and
score are defined here; the sources of HAMA have colours and crossings only. The weights: the two
signs make the state and so weigh most; of the terms that grade it, the distance from the line does.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from streamdesk.analysis.errors import NotEnoughBarsError, UnknownPresetError
from streamdesk.contracts.events.analysis import (
    BollingerPhase,
    HamaColour,
    HamaPreset,
    HamaSignal,
    HamaState,
    HamaTrend,
)
from streamdesk.contracts.fields import InstrumentSymbol, Price, Score
from streamdesk.indicators import PRESETS, HamaArrays, atr, hama
from streamdesk.market.series import BarSeries

ATR_PERIOD = 14

DIRECTION_POINTS = 15.0
SIDE_POINTS = 15.0
DISTANCE_POINTS = 8.0
SLOPE_POINTS = 6.0
BAND_POINTS = 6.0

DISTANCE_REACH = 2.0
"""Distance of the candle's close from the line that gives all points, in ATRs."""

SLOPE_REACH = 0.1
"""Change of the line within a bar that gives all points, in ATRs."""

STILL = 1e-10
"""Share of the price up to which an ATR or the width of a band is a rounding error."""

_STATES: dict[tuple[int, int], HamaState] = {(1, 1): "bullish", (-1, -1): "bearish"}
_TRENDS: dict[int, HamaTrend] = {1: "up", -1: "down", 0: "flat"}
_SIGNALS: dict[int, HamaSignal] = {1: "cross-up", -1: "cross-down", 0: "none"}
_PHASES: dict[int, BollingerPhase] = {1: "expansion", -1: "squeeze", 0: "normal"}

_Words = tuple[HamaState, HamaColour, HamaTrend, HamaSignal, BollingerPhase]


class HamaAnalysis(BaseModel):
    """The analysis of an instrument at the end of its last bar."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: InstrumentSymbol
    preset: HamaPreset = Field(description="Which edition of HAMA.")
    interval_seconds: int = Field(gt=0, description="Length of a bar, in seconds.")
    as_of: AwareDatetime = Field(description="End of the last bar.")
    computed_at: AwareDatetime = Field(description="When this was computed.")
    source: str = Field(description="Where the bars came from.", examples=["store"])
    bars: int = Field(gt=0, description="How many bars it was computed from.")
    close: Price = Field(description="Close of the last bar, in the currency of the market.")
    state: HamaState = Field(
        description="Bullish: the candle's open rises and its close is above the line. "
        "Bearish: the opposite of both. Neutral: anything else."
    )
    score: Score = Field(
        description="From 0, as bearish as it gets, over 50, neither, to 100, as bullish."
    )
    trend: HamaTrend = Field(description="Which way the line goes.")
    colour: HamaColour = Field(description="Green where the candle's open rises, else red.")
    signal: HamaSignal = Field(description="Whether the candle's close crossed the line just now.")
    bollinger: BollingerPhase = Field(description="Whether the Bollinger bands are narrow or wide.")
    indicators: dict[str, float] = Field(
        description="The numbers behind it: candle, line, bands and ATR in the unit of the price, "
        "bollinger_width_percent in percent of the middle band, and how many bars ago the candle "
        "crossed the line, where it did.",
        examples=[{"hama_close": 91240.1, "line": 91198.7, "bars_since_cross_up": 3}],
    )


@dataclass(frozen=True, slots=True)
class _Last:
    """The last bar: what the score is made of."""

    close: float
    direction: int
    side: int
    distance: float
    slope: float
    middle: float
    reach: float
    atr: float


def bars_needed(preset: str) -> int:
    """Bars that an analysis in this preset needs at least.

    Raises:
        UnknownPresetError: no preset has this name.
    """
    try:
        return PRESETS[preset].bars_needed
    except KeyError:
        raise UnknownPresetError(
            f"preset is {preset!r}; expected one of {', '.join(PRESETS)}"
        ) from None


def analyse(
    series: BarSeries,
    preset: str,
    *,
    source: str,
    computed_at: datetime,
) -> HamaAnalysis:
    """What HAMA says at the last bar of the series.

    Exponential averages start at the first bar of the series. After 600 bars that is forgotten,
    but for the middle band of `quantdinger`, whose average of 400 bars was measured to be off by
    up to 0.3 % of the price; give it 2,000 bars where that matters.

    Args:
        series: closed bars of an instrument.
        preset: edition of HAMA, `nsdt` or `quantdinger`.
        source: where the bars came from.
        computed_at: the time now.

    Raises:
        NotEnoughBarsError: the series is shorter than `bars_needed`.
        UnknownPresetError: no preset has this name.
        InputError: a price is not finite or not above 0.
    """
    needed = bars_needed(preset)
    if len(series) < needed:
        raise NotEnoughBarsError(series.symbol, len(series), needed)
    arrays = hama(series.open, series.high, series.low, series.close, preset=PRESETS[preset])
    true_range = float(atr(series.high, series.low, series.close, ATR_PERIOD)[-1])
    last = _last(arrays, float(series.close[-1]), true_range)
    return HamaAnalysis(
        symbol=series.symbol,
        preset=PRESETS[preset].name,
        interval_seconds=series.interval_seconds,
        as_of=series.as_of,
        computed_at=computed_at,
        source=source,
        bars=len(series),
        close=last.close,
        state=_STATES.get((last.direction, last.side), "neutral"),
        score=_score(last),
        trend=_TRENDS[int(arrays.trend[-1])],
        colour="green" if last.direction > 0 else "red",
        signal=_SIGNALS[int(arrays.cross[-1])],
        bollinger=_PHASES[int(arrays.bands[-1])],
        indicators=_indicators(arrays, true_range),
    )


def changed(before: HamaAnalysis | None, after: HamaAnalysis) -> bool:
    """Whether the state of an analysis differs from the one before: its words, not its numbers.

    Args:
        before: the analysis before, None where there was none.
        after: the later one.
    """
    return before is None or _words(before) != _words(after)


def _words(analysis: HamaAnalysis) -> _Words:
    return (
        analysis.state,
        analysis.colour,
        analysis.trend,
        analysis.signal,
        analysis.bollinger,
    )


def _last(arrays: HamaArrays, close: float, true_range: float) -> _Last:
    return _Last(
        close=close,
        direction=int(arrays.direction[-1]),
        side=int(arrays.side[-1]),
        distance=float(arrays.close[-1] - arrays.line[-1]),
        slope=float(arrays.line[-1] - arrays.line[-2]),
        middle=float(arrays.middle[-1]),
        reach=float(arrays.upper[-1] - arrays.middle[-1]),
        atr=true_range,
    )


def _score(last: _Last) -> float:
    still = STILL * last.close
    points = DIRECTION_POINTS * last.direction + SIDE_POINTS * last.side
    if last.atr > still:
        points += DISTANCE_POINTS * _limited(last.distance / (DISTANCE_REACH * last.atr))
        points += SLOPE_POINTS * _limited(last.slope / (SLOPE_REACH * last.atr))
    if last.reach > still:
        points += BAND_POINTS * _limited((last.close - last.middle) / last.reach)
    return round(50 + points, 2)


def _limited(part: float) -> float:
    return min(1.0, max(-1.0, part))


def _indicators(arrays: HamaArrays, true_range: float) -> dict[str, float]:
    numbers = {
        "hama_open": arrays.open,
        "hama_high": arrays.high,
        "hama_low": arrays.low,
        "hama_close": arrays.close,
        "line": arrays.line,
        "bollinger_upper": arrays.upper,
        "bollinger_middle": arrays.middle,
        "bollinger_lower": arrays.lower,
    }
    found = {name: float(values[-1]) for name, values in numbers.items()}
    found["bollinger_width_percent"] = 100 * float(arrays.width[-1])
    found["atr"] = true_range
    found.update(_crossed(arrays, "bars_since_cross_up", 1))
    found.update(_crossed(arrays, "bars_since_cross_down", -1))
    return found


def _crossed(arrays: HamaArrays, name: str, way: Literal[1, -1]) -> dict[str, float]:
    """Bars since the last crossing in this direction; empty if the series has none."""
    found = np.flatnonzero(arrays.cross == way)
    return {name: float(arrays.cross.size - 1 - found[-1])} if found.size else {}
