"""The states of the kill switch."""

from enum import StrEnum


class TradingState(StrEnum):
    """Which orders may be sent."""

    ACTIVE = "ACTIVE"
    """Entries and exits."""
    REDUCING = "REDUCING"
    """Exits alone: sells, and protective exits."""
    HALTED = "HALTED"
    """Nothing."""
