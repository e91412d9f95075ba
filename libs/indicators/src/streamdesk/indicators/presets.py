"""What HAMA is made of in each of its editions."""

from dataclasses import dataclass
from typing import Literal

from streamdesk.indicators.errors import ParameterError
from streamdesk.indicators.parameters import check_deviations, check_period


@dataclass(frozen=True, slots=True)
class HamaPreset:
    """One edition of HAMA. Periods are in bars.

    Args:
        name: what it is asked for by.
        open_period: period of the candle's open, an exponential average as the next three.
        high_period: period of the candle's high.
        low_period: period of the candle's low.
        close_period: period of the candle's close.
        line_kind: the line is a linearly weighted or an exponential average ...
        line_of: ... of the middle of each bar, (high + low) / 2, or of its close.
        line_period: period of the line.
        bands_kind: middle of the Bollinger bands: a simple or an exponential average of the close.
        bands_period: period of the bands' middle and deviation.
        deviations: distance of the outer bands from the middle, in standard deviations.
        sample_deviation: the deviation of a sample (n - 1), not of the population (n).
        squeeze_below: the bands are squeezed below this, and ...
        expansion_above: ... expanding above this: a width as a share of the middle band or, with
            `rank_period`, a rank from 0 (narrowest) to 1 (widest).
        rank_period: judge the width by its rank among the widths of so many bars; None: by itself.

    Raises:
        ParameterError: a period is no whole number from 2 to 100,000, `deviations` is not above 0,
            or `squeeze_below` is not from 0 to less than `expansion_above`.
    """

    name: str
    open_period: int
    high_period: int
    low_period: int
    close_period: int
    line_kind: Literal["wma", "ema"]
    line_of: Literal["hl2", "close"]
    line_period: int
    bands_kind: Literal["sma", "ema"]
    bands_period: int
    deviations: float
    sample_deviation: bool
    squeeze_below: float
    expansion_above: float
    rank_period: int | None = None

    def __post_init__(self) -> None:
        for field in ("open", "high", "low", "close", "line", "bands"):
            check_period(f"{field}_period", getattr(self, f"{field}_period"))
        if self.rank_period is not None:
            check_period("rank_period", self.rank_period)
        check_deviations(self.deviations)
        if not 0 <= self.squeeze_below < self.expansion_above:
            raise ParameterError(
                f"squeeze_below {self.squeeze_below} must be from 0 to less than "
                f"expansion_above {self.expansion_above}"
            )

    @property
    def bars_needed(self) -> int:
        """Bars after which the last bar has every value, and its changes from the bar before."""
        # The candle's open begins a bar late: it is made of the bar before.
        changes = max(self.open_period + 1, self.close_period, self.line_period) + 1
        bands = self.bands_period + (self.rank_period or 1) - 1
        return max(changes, self.high_period, self.low_period, bands)


NSDT = HamaPreset(
    name="nsdt",
    open_period=25,
    high_period=20,
    low_period=20,
    close_period=20,
    line_kind="wma",
    line_of="hl2",
    line_period=55,
    bands_kind="sma",
    bands_period=20,
    deviations=2.0,
    sample_deviation=False,
    squeeze_below=0.1,
    expansion_above=0.9,
    rank_period=125,
)
"""The original, "NSDT HAMA Candles", in its release whose line follows the middle of the bars.

Source: https://www.tradingview.com/script/k7nrF2oI-NSDT-HAMA-Candles/ (candles, line). It has no
Bollinger bands, so these are our choice: John Bollinger's usual 20 bars and 2 deviations, and his
way to judge their width, against that of the last 125 bars (Bollinger on Bollinger Bands, 2001,
chapter 15). He waits for the narrowest and the widest of them; we take the tenth at either end.
A rank means the same for bars of a minute and of a day, which a width in percent does not.
"""

QUANTDINGER = HamaPreset(
    name="quantdinger",
    open_period=45,
    high_period=20,
    low_period=20,
    close_period=40,
    line_kind="ema",
    line_of="close",
    line_period=100,
    bands_kind="ema",
    bands_period=400,
    deviations=2.0,
    sample_deviation=True,
    squeeze_below=0.10,
    expansion_above=0.15,
)
"""The edition of the QuantDinger fork: slower candles, wide bands, widths in fixed percent.

Source: github.com/alexbibihere/QuantDinger, backend_api_python/app/services/hama_calculator.py.
That program looks for the previous open before it has stored one, so its candles are always red;
here they have the colour its comments promise. Its limits of 10 % and 15 % suit bars of some
hours: with bars of a minute the bands are nearly always "squeezed".
"""

PRESETS = {preset.name: preset for preset in (NSDT, QUANTDINGER)}
"""All editions by name."""


def hama_preset(name: str) -> HamaPreset:
    """The edition of this name.

    Raises:
        ParameterError: there is none.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise ParameterError(
            f"HAMA preset must be one of {', '.join(PRESETS)}, got {name!r}"
        ) from None
