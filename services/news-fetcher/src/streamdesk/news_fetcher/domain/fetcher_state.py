"""How far the fetching of a source is: what a successor needs to continue."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

FINGERPRINT_HEX_DIGITS = 8  # enough to distinguish two keys, too few to guess one from
EVERYTHING = "*"
"""Name of the cursor of a source that is not asked by ticker."""


class Play(BaseModel):
    """Position in a recording: playing resumes there after a restart, or in another replica."""

    model_config = ConfigDict(frozen=True)

    recording: str = Field(description="Hash of its content.")
    position_seconds: float = Field(ge=0, description="From its first article, as recorded.")


class FetcherState(BaseModel):
    """What is known of a source between rounds; one JSON value in Redis."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    cursors: dict[str, AwareDatetime] = Field(
        default_factory=dict, description="Publication time of the newest article, by ticker."
    )
    quota: dict[str, JsonValue] | None = Field(default=None, description="See `Quota.as_json`.")
    told_exhausted: AwareDatetime | None = Field(
        default=None, description="Until when the quota was reported as used up."
    )
    refused_key: str | None = Field(
        default=None, description="Fingerprint of the key that the source refused."
    )
    begun_at: AwareDatetime | None = Field(default=None, description="Begin of the last round.")
    ended: bool = Field(default=False, description="Whether that round came to its end.")
    last_entry: str = Field(default="", description="Newest entry of the topic that is ours.")
    play: Play | None = None

    def since(
        self, ticker: str, now: datetime, lookback: timedelta, overlap: timedelta
    ) -> datetime:
        """Which articles to ask for: those published since then."""
        oldest = now - lookback
        cursor = self.cursors.get(ticker)
        return oldest if cursor is None else max(cursor - overlap, oldest)

    def advanced(
        self, ticker: str, newest: datetime | None, last_entry: str, oldest: datetime
    ) -> "FetcherState":
        """The same, with a ticker's articles published. A cursor never goes back.

        Args:
            ticker: whose.
            newest: publication time of the newest of them; None when there was none.
            last_entry: newest entry that they became; empty for none.
            oldest: older cursors are dropped: their tickers are not asked about any more.
        """
        cursors = {name: at for name, at in self.cursors.items() if at >= oldest}
        known = cursors.get(ticker)
        if newest is not None:
            cursors[ticker] = newest if known is None else max(known, newest)
        latest = max(self.last_entry, last_entry, key=entry_order)
        return self.model_copy(update={"cursors": cursors, "last_entry": latest})

    def with_quota(self, quota: Mapping[str, object]) -> "FetcherState":
        """The same, with the calls of the day as `Quota.as_json` gives them."""
        return self.model_copy(update={"quota": dict(quota)})

    def with_refused_key(self, fingerprint: str | None) -> "FetcherState":
        """The same, with the key that the source refused, or none."""
        return self.model_copy(update={"refused_key": fingerprint})

    def with_told_exhausted(self, until: datetime) -> "FetcherState":
        """The same, once it is reported until when the quota is used up."""
        return self.model_copy(update={"told_exhausted": until})

    def with_play(self, play: Play) -> "FetcherState":
        """The same, with the recording further on."""
        return self.model_copy(update={"play": play})

    def due_at(self, interval_seconds: float) -> datetime | None:
        """When the next round is due; None for at once: there was none, or it was broken off."""
        if self.begun_at is None or not self.ended:
            return None
        return self.begun_at + timedelta(seconds=interval_seconds)


def entry_order(entry_id: str) -> tuple[int, int]:
    """Entry ids in the order in which the server gave them; an empty one before all."""
    if not entry_id:
        return (-1, -1)
    milliseconds, _, number = entry_id.partition("-")
    return (int(milliseconds), int(number or 0))


def fingerprint(key: str) -> str:
    """Distinguishes keys without revealing anything about them."""
    salted = f"streamdesk news fetcher {key}".encode()
    return hashlib.sha256(salted).hexdigest()[:FINGERPRINT_HEX_DIGITS]
