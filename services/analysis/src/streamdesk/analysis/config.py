"""Settings of the analysis service."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from streamdesk.analysis.domain.cron import OFF, Cron
from streamdesk.contracts import topics
from streamdesk.contracts.events.analysis import HamaPreset
from streamdesk.contracts.symbols import canonical_symbol
from streamdesk.runtime import CommaSeparated, ServiceSettings

MisfirePolicy = Literal["skip", "once", "all"]

SOURCES = ("store", "simulated", "recorded", "binance")
SHORTEST_INTERVAL_SECONDS = 1
LONGEST_INTERVAL_SECONDS = 86_400


def _spelled(symbols: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(canonical_symbol, symbols)))


def _known_sources(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in SOURCES]
    if unknown or not names:
        raise ValueError(f"some of {', '.join(SOURCES)}, comma-separated, the first one first")
    return names


def _cron_line(value: str) -> str:
    if value != OFF:
        Cron(value)
    return value


class Settings(ServiceSettings):
    """Settings of the analysis service."""

    # -- HTTP -----------------------------------------------------------------------------------

    analysis_host: str = Field(
        "0.0.0.0",  # noqa: S104 - clients come from outside the pod
        description="Address that the API is served on.",
    )
    analysis_port: int = Field(5000, ge=0, le=65_535, description="Port of the API; 0: any free.")
    analysis_max_batch: int = Field(
        500, ge=1, le=10_000, description="Symbols that one batch may ask for."
    )

    # -- analyses and their cache ---------------------------------------------------------------

    redis_enabled: bool = Field(
        default=True,
        description="Whether analyses, schedule and events go over Redis; if not, this process "
        "keeps them in its memory.",
    )
    hama_cache_ttl: float = Field(
        300,
        ge=1,
        le=86_400,
        description="Seconds that an analysis is kept; after four fifths of them a request gets it "
        "at once, and has it renewed in the background.",
    )
    hama_memory_cache_symbols: int = Field(
        2_000,
        ge=1,
        description="Most analyses that this process keeps in its own memory.",
    )
    hama_cache_look_seconds: float = Field(
        1,
        ge=0,
        le=60,
        description="How long an analysis seen in Redis is answered from this process's memory "
        "before Redis is asked again, seconds: how much later than another replica this one may "
        "show a new analysis.",
    )
    hama_cache_timeout_seconds: float = Field(
        2,
        gt=0,
        le=60,
        description="Longest wait for an answer of Redis, seconds; after it, the memory of this "
        "process is the cache until Redis answers again.",
    )
    hama_preset: HamaPreset = Field("nsdt", description="Parameters of HAMA: nsdt or quantdinger.")
    hama_interval_seconds: int = Field(
        60,
        ge=SHORTEST_INTERVAL_SECONDS,
        le=LONGEST_INTERVAL_SECONDS,
        description="Length of the bars that are analysed, seconds.",
    )
    hama_bars: int = Field(
        600,
        ge=400,
        le=10_000,
        description="Bars of an instrument that an analysis looks at; quantdinger needs 400.",
    )
    hama_symbols: Annotated[CommaSeparated, AfterValidator(_spelled)] = Field(
        (), description="Instruments to keep analysed; none set: the built-in 78."
    )

    # -- bars -----------------------------------------------------------------------------------

    bar_sources: Annotated[CommaSeparated, AfterValidator(_known_sources)] = Field(
        ("store", "simulated"),
        description="Where bars are looked for, the first one first: store, simulated, recorded, "
        "binance.",
    )
    bar_store_folder: Path | None = Field(
        None, description="Folder of the bar store; none: bars are not kept."
    )
    bar_store_keep_days: int = Field(
        400, ge=1, description="Days after which bars are removed from the store."
    )
    bar_recording: Path | None = Field(
        None,
        description="CSV or Parquet file of bars, or a folder of them, for the source `recorded`.",
    )
    binance_url: str = Field(
        "https://api.binance.com",
        pattern=r"^https?://",
        description="Server of the klines API, for the source `binance`.",
    )
    feed_seed: int = Field(
        1, ge=0, description="Seed of the simulated market: the same one gives the same bars."
    )
    bars_key: str = Field(topics.MARKET_BARS.key, min_length=1, description="Redis key of bars.")
    analysis_key: str = Field(
        topics.ANALYSIS_STATES.key, min_length=1, description="Redis key of changed HAMA states."
    )

    # -- schedule -------------------------------------------------------------------------------

    hama_scheduler_enabled: bool = Field(
        default=True, description="Whether analyses are refreshed by a schedule at all."
    )
    hama_scheduler_auto_start: bool = Field(
        default=True,
        description="Whether a schedule that was never started or stopped begins started.",
    )
    hama_scheduler_interval: float = Field(
        5,
        ge=0.02,
        le=1_440,
        description="Minutes from one refresh to the next; slots are multiples of it, in UTC.",
    )
    hama_scheduler_watched_only: bool = Field(
        default=False, description="Refresh only symbols that clients asked for recently."
    )
    hama_scheduler_watched_minutes: float = Field(
        60, gt=0, le=10_080, description="How long a symbol counts as asked for recently."
    )
    hama_scheduler_misfire: MisfirePolicy = Field(
        "once",
        description="What happens to slots missed while no replica ran: skip, fire once for all of "
        "them, or fire all.",
    )

    # -- the daily job --------------------------------------------------------------------------

    job_schedule: Annotated[str, BeforeValidator(str.strip), AfterValidator(_cron_line)] = Field(
        "30 22 * * 1-5",
        description="When the daily indicators are computed, as a cron line in UTC; `off`: never.",
    )
    job_workers: int = Field(
        0, ge=0, le=256, description="Processes that compute the daily indicators; 0: all cores."
    )
    tasks_key: str = Field(topics.TASKS.key, min_length=1, description="Redis key of tasks.")
