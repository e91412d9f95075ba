"""Periods and factors of all indicators, with the values most charts use."""

from dataclasses import dataclass, fields

from streamdesk.indicators.errors import ParameterError

MAX_PERIOD = 100_000
"""TA-Lib's own upper bound for a period, in bars."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Periods are in bars.

    Args:
        rsi: period of the RSI (Wilder's 14).
        bollinger: period of the Bollinger bands' mean and deviation.
        deviations: distance of the outer bands from the mean, in standard deviations.
        macd_fast: period of the MACD's fast average.
        macd_slow: period of the MACD's slow average; longer than the fast one.
        macd_signal: period of the MACD's signal line.
        sma_short: period of the short simple average.
        sma_long: period of the long simple average; longer than the short one.
        atr: period of the average true range (Wilder's 14).
        volume: how many previous volumes the volume ratio compares with.

    Raises:
        ParameterError: a period is no whole number from 2 to 100,000 (`macd_signal`, `atr` and
            `volume`: from 1), a "longer" period is not longer, or `deviations` is not above 0.
    """

    rsi: int = 14
    bollinger: int = 20
    deviations: float = 2.0
    macd_fast: int = 12
    macd_slow: int = 26
    macd_signal: int = 9
    sma_short: int = 20
    sma_long: int = 50
    atr: int = 14
    volume: int = 20

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name != "deviations":
                smallest = 1 if field.name in {"macd_signal", "atr", "volume"} else 2
                check_period(field.name, getattr(self, field.name), smallest)
        check_deviations(self.deviations)
        for shorter, longer in (("macd_fast", "macd_slow"), ("sma_short", "sma_long")):
            if getattr(self, shorter) >= getattr(self, longer):
                raise ParameterError(
                    f"{shorter} {getattr(self, shorter)} must be less than "
                    f"{longer} {getattr(self, longer)}"
                )


def check_period(name: str, period: int, smallest: int = 2) -> None:
    """Raise ParameterError unless `period` is a whole number of bars in TA-Lib's range."""
    if not isinstance(period, int) or not smallest <= period <= MAX_PERIOD:
        raise ParameterError(
            f"{name} must be a whole number of bars from {smallest} to {MAX_PERIOD}, got {period!r}"
        )


def check_deviations(deviations: float) -> None:
    """Raise ParameterError unless `deviations` is above 0 and finite."""
    if not 0 < deviations < float("inf"):
        raise ParameterError(f"deviations must be a number above 0, got {deviations!r}")
