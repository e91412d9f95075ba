"""What can be wrong with the numbers of a strategy.

StrategyError         weights or thresholds that make no score from 0 to 100
"""


class StrategyError(ValueError):
    """Numbers that a strategy cannot compute with; the message names them."""
