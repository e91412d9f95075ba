"""What a signal's other fields are, where only type and score are given."""

import math
from datetime import datetime

from streamdesk.contracts.events import Side, SignalType

BEST_SCORE = 100


def signal_defaults(
    signal_type: object, score: object, strategy: str, now: datetime
) -> dict[str, object]:
    """Fields by name; of a score that is none, nothing is derived.

    Args:
        signal_type: as given; a sale or, whatever else it is, a purchase.
        score: as given, 0 to 100.
        strategy: name of the rules.
        now: when it is queued.
    """
    defaults: dict[str, object] = {
        "side": Side.SELL if signal_type == SignalType.SELL else Side.BUY,
        "reasons": (),
        "indicators": {},
        "strategy": strategy,
        "timestamp": now,
        "queued_at": now,
        "strength": 0,
        "priority": 0,
    }
    if isinstance(score, int | float) and math.isfinite(score):
        bounded = min(max(score, 0), BEST_SCORE)
        defaults["strength"] = round(bounded / BEST_SCORE, 4)
        defaults["priority"] = int(bounded // 10 * 10)
    return defaults
