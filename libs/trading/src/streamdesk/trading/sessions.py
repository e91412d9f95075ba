"""The port of exchanges' hours: the rules ask, a calendar answers."""

from datetime import datetime
from typing import Protocol


class SessionClock(Protocol):
    """Knows when markets trade."""

    def why_closed(
        self, market: str, bar_end: datetime, interval_seconds: int | None
    ) -> str | None:
        """Why a market is closed at the end of a bar, for a person; None while it is open.

        Args:
            market: as at the end of a symbol.
            bar_end: end of the bar; the moment just before it counts.
            interval_seconds: length of the bar; one of a day or more counts by its date. None:
                unknown, and shorter than a day.
        """
