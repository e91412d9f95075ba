"""From bars to scored signals: pure, the same live and over history."""

from streamdesk.strategy.errors import StrategyError
from streamdesk.strategy.scanner import (
    BelowThreshold,
    CoolingDown,
    NotEnoughBars,
    Rules,
    Scanner,
)
from streamdesk.strategy.scoring import SideScore, Weights
from streamdesk.strategy.signals import STRATEGY, Draft, Exits, Thresholds

__all__ = [
    "STRATEGY",
    "BelowThreshold",
    "CoolingDown",
    "Draft",
    "Exits",
    "NotEnoughBars",
    "Rules",
    "Scanner",
    "SideScore",
    "StrategyError",
    "Thresholds",
    "Weights",
]
