"""The bodies of answers: the envelope, and its data."""

from typing import Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from streamdesk.analysis.application.refresh import SchedulerStatus
from streamdesk.analysis.domain.hama import HamaAnalysis

T = TypeVar("T")


class SuccessAnswer(BaseModel, Generic[T]):
    """The answer to a request that succeeded."""

    code: Literal[1] = Field(description="1: the request succeeded.")
    msg: Literal["success"]
    data: T


class ErrorAnswer(BaseModel):
    """The answer to a request that failed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "code": 0,
                    "msg": "'APPL.US' is not known; check its spelling, as in AAPL.US, 700.HK or "
                    "BTCUSDT",
                    "data": None,
                }
            ]
        }
    )

    code: Literal[0] = Field(description="0: the request failed.")
    msg: str = Field(description="What is wrong, and what to do about it.")
    data: None


class Analysis(HamaAnalysis):
    """An analysis, and how it was obtained."""

    cached: bool = Field(description="It was cached; it was not computed for this answer.")
    stale: bool = Field(description="It is old, and being renewed at this moment.")


class BatchAnswer(BaseModel):
    """Analyses of several instruments."""

    total: int = Field(ge=0, description="Instruments asked for, each counted once.")
    succeeded: int = Field(ge=0, description="Instruments with an analysis.")
    failed: int = Field(ge=0, description="Instruments without one.")
    cached: int = Field(ge=0, description="Analyses that were not computed for this answer.")
    results: list[Analysis] = Field(description="In the order asked.")
    errors: dict[str, str] = Field(
        description="Why there is none, by symbol.",
        examples=[{"APPL.US": "'APPL.US' is not known; check its spelling"}],
    )


class CacheReport(BaseModel):
    """Counts and content of the cache."""

    cache_type: Literal["redis", "memory"] = Field(description="Where analyses are kept now.")
    cached_symbols: int = Field(ge=0, description="How many are kept.")
    cache_duration_minutes: float = Field(gt=0, description="How long one is kept.")
    symbols: list[str] = Field(description="Which ones, sorted; at most 10,000.")
    memory_cache_fallback: bool = Field(
        description="Redis is enabled but unavailable: each replica has a cache of its own."
    )
    hits_memory: int = Field(
        ge=0,
        description="Answers of this replica, since it started, from its memory: Redis was "
        "asked a moment ago, or is unavailable.",
    )
    hits_redis: int = Field(ge=0, description="Answers from Redis.")
    misses: int = Field(ge=0, description="Answers that had to be computed.")
    computations: int = Field(ge=0, description="Analyses that this replica computed.")


class Preloaded(BaseModel):
    """The outcome of a preload, or of a refresh on request."""

    symbols_count: int = Field(ge=0, description="Instruments, each counted once.")
    refreshed: int = Field(ge=0, description="Analyses computed anew.")
    changed: int = Field(ge=0, description="Analyses computed here whose state is new.")
    failed: dict[str, str] = Field(description="The reasons, by symbol.")


class ScheduleCache(BaseModel):
    """The cache, as the schedule's status shows it."""

    available: bool = Field(description="Whether Redis keeps the analyses.")
    cached_symbols: int = Field(ge=0, description="How many are kept.")
    cache_ttl_seconds: float = Field(gt=0, description="How long one is kept.")


class ScheduleStatus(SchedulerStatus):
    """The status of the schedule, and of the cache that it fills."""

    enabled: bool = Field(description="Whether there is a schedule at all.")
    cache_stats: ScheduleCache


class Slots(BaseModel):
    """The next slots."""

    slots: list[AwareDatetime] = Field(description="Their starts, soonest first, in UTC.")


class Started(BaseModel):
    """A job that was started."""

    task_id: str = Field(description="Of its events, on the channel events:task:{id}.")


class JobRun(BaseModel):
    """A run of the daily indicators, as its folder shows it."""

    model_config = ConfigDict(from_attributes=True)

    run_id: str = Field(description="Also the id of its task.")
    state: Literal["computing", "interrupted", "unpublished", "completed"] = Field(
        description="interrupted: unfinished, and no process computes it; unpublished: "
        "computed, but not all events are on the bus."
    )
    market: str | None = Field(description="As in US; none for all.")
    began_at: AwareDatetime = Field(description="When it began.")
    stocks: int = Field(ge=0, description="In all.")
    computed: int = Field(ge=0, description="Stocks whose values are in the result files.")
    published: int = Field(ge=0, description="Stocks whose outcome is published.")


class JobRuns(BaseModel):
    """The runs begun last, newest first."""

    runs: list[JobRun]
