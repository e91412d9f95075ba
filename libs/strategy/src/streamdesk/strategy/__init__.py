"""From bars to scored signals: pure, the same live and over history."""

from streamdesk.strategy.errors import StrategyError
from streamdesk.strategy.scanner import (
    BelowThreshold,
    CoolingDown,
    NotEnoughBars,
    Scanner,
    ScanRules,
)
from streamdesk.strategy.scoring import SideScore, Weights
from streamdesk.strategy.signals import STRATEGY, Exits, SignalDraft, Thresholds

__all__ = [
    "STRATEGY",
    "BelowThreshold",
    "CoolingDown",
    "Exits",
    "NotEnoughBars",
    "ScanRules",
    "Scanner",
    "SideScore",
    "SignalDraft",
    "StrategyError",
    "Thresholds",
    "Weights",
]
