"""Long tasks and their progress."""

from typing import Self

from pydantic import ConfigDict, Field, model_validator

from streamdesk.contracts.base import Event
from streamdesk.contracts.fields import InstrumentSymbol, Timestamp

_TASK = {"task_id": "warm-up-7f3a", "timestamp": "2026-11-20T15:30:00Z"}


class TaskEvent(Event):
    """What all events of one task share."""

    task_id: str = Field(pattern=r"^[A-Za-z0-9_.\-]{1,100}$", description="Unique id of the run.")
    timestamp: Timestamp


class TaskProgressed(TaskEvent):
    """A task started or progressed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {**_TASK, "name": "warm-up", "done": 3, "total": 12, "message": "AAPL.US loaded"}
            ]
        }
    )

    name: str = Field(description="Kind of task, as in warm-up.")
    done: int = Field(ge=0, description="Steps finished.")
    total: int = Field(ge=0, description="Steps in total.")
    message: str = Field(default="", description="What was done last, for a reader.")

    @model_validator(mode="after")
    def _done_within_total(self) -> Self:
        if self.done > self.total:
            raise ValueError(f"done {self.done} is more than total {self.total}")
        return self


class StockIndicatorsCompleted(TaskEvent):
    """One instrument's indicators are computed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{**_TASK, "symbol": "AAPL.US", "indicators": {"rsi": 55.2, "atr": 2.1}}]
        }
    )

    symbol: InstrumentSymbol
    indicators: dict[str, float] = Field(description="Latest values by name.")


class TaskCompleted(TaskEvent):
    """A task ended, completed or not."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{**_TASK, "name": "warm-up", "succeeded": True, "duration_seconds": 0.4}]
        }
    )

    name: str = Field(description="Kind of task, as in warm-up.")
    succeeded: bool = Field(description="Whether it was completed.")
    duration_seconds: float = Field(ge=0, description="From start to end, in seconds.")
    message: str = Field(default="", description="What was done last, for a reader.")
