"""How far a feed is: what a successor needs to resume."""

import hashlib
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from streamdesk.contracts.events import Side
from streamdesk.strategy.signals import STRATEGY, SignalDraft


class FeedCursor(BaseModel):
    """The last bars that were published; one JSON value in Redis, written together with them.

    All signals of earlier bars are in the queue; those of these bars may be.
    """

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    feed: str = Field(description="Name of the feed.")
    run: str = Field(description="Name of the run; a signal's id follows from it.")
    began_at: AwareDatetime = Field(description="When the run began, by the wall clock.")
    time: AwareDatetime = Field(description="End of the last bars.")
    bars: int = Field(ge=0, description="Bars of the run so far.")
    played: str = Field(default="", description="Hash of the recording up to there.")


def signal_id(run: str, draft: SignalDraft) -> str:
    """The id of a signal's event: the same whenever and by whichever replica it is published.

    A UUIDv7 whose time is that of the bar and whose order within it is that of the decisions, so
    that a reader of several classes sees signals in the order in which they were published.
    """
    text = f"{run} {draft.symbol} {draft.timestamp.isoformat()} {STRATEGY}"
    derived = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 2
    milliseconds = int(draft.timestamp.timestamp() * 1000) & (1 << 48) - 1
    is_entry, priority, _ = decided_first(draft)
    order = (is_entry << 11) | ((priority + 100) << 4)
    return str(UUID(int=milliseconds << 80 | 7 << 76 | order << 64 | 2 << 62 | derived))


def decided_first(draft: SignalDraft) -> tuple[bool, int, str]:
    """Sorts the signals of one time: exits first, then by priority, then by symbol."""
    return draft.score.side is not Side.SELL, -draft.priority, draft.symbol
