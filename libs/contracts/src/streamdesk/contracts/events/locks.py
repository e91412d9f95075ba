"""Locks of entries: made by a limit on loss, a protection or a price that jumped; their ends."""

from typing import Literal

from pydantic import ConfigDict, Field

from streamdesk.contracts.events.system import RiskAlerted
from streamdesk.contracts.fields import Timestamp


class EntriesLocked(RiskAlerted):
    """No new position is opened, in one symbol or in any; exits continue."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "code": "STOPLOSS_GUARD",
                    "severity": "warning",
                    "message": "entries in all symbols are locked until 2026-11-20T19:31:00+00:00: "
                    "4 stop losses within 1440 minutes: no entries for 240 minutes",
                    "symbol": None,
                    "value": 4,
                    "limit": 4,
                    "timestamp": "2026-11-20T15:31:02Z",
                    "lock_id": 7,
                    "until": "2026-11-20T19:31:00Z",
                }
            ]
        }
    )

    lock_id: int = Field(ge=1, description="Number of the lock in the ledger.")
    until: Timestamp | None = Field(
        default=None,
        description="Event time of its end: a signal of that bar, or a later one, is not locked. "
        "Null: it lasts until a person lifts it.",
    )


class EntriesUnlocked(RiskAlerted):
    """A lock of entries ended."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "code": "STOPLOSS_GUARD",
                    "severity": "info",
                    "message": "the lock of entries in all symbols has expired",
                    "symbol": None,
                    "value": 0,
                    "limit": 0,
                    "timestamp": "2026-11-20T19:31:01Z",
                    "lock_id": 7,
                    "cause": "expired",
                }
            ]
        }
    )

    lock_id: int = Field(ge=1, description="Number of the lock in the ledger.")
    cause: Literal["expired", "lifted", "returned", "adjusted"] = Field(
        description="Whether its time was over, or a person lifted it; of a price that jumped: "
        "whether it came back, or a corporate action explains it."
    )
