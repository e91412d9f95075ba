"""Settings of the signal generator: name, type, unit, default, why."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from streamdesk.contracts.events import ExitOptions
from streamdesk.contracts.topics import (
    MARKET_BARS,
    STRATEGY_UPDATES,
    SYSTEM_EVENTS,
    TASKS,
    TRADING_SIGNALS,
)
from streamdesk.runtime import CommaSeparated, ServiceSettings, parse_symbols
from streamdesk.strategy.errors import StrategyError
from streamdesk.strategy.scanner import ScanRules
from streamdesk.strategy.signals import Exits, Thresholds

DEFAULTS = ScanRules()


def _symbols(values: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return parse_symbols(values)
    except ValueError:
        raise ValueError("symbols like AAPL.US or 700.HK, separated by commas") from None


class Settings(ServiceSettings):
    """Settings of the signal generator."""

    feed: Literal["simulated", "recorded"] = Field(
        "simulated", description="Where bars come from: a seeded market, or FEED_FILE."
    )
    symbols: Annotated[CommaSeparated, AfterValidator(_symbols)] = Field(
        (), description="Instruments to take of the watchlist or the recording; empty: all."
    )
    watchlist_file: Path | None = Field(
        None,
        description="YAML list of instruments instead of the built-in one. A recording may have "
        "any instrument unless this is set.",
    )

    feed_seed: int = Field(
        1, ge=0, description="Simulated: the same seed and start give the very same bars."
    )
    feed_bars_per_second: float = Field(
        1,
        ge=0,
        le=10_000,
        description="Simulated: bars per second for each instrument; 0 for as fast as possible.",
    )
    feed_interval_seconds: int = Field(
        1,
        ge=1,
        le=86_400,
        description="Simulated: length of a bar on the market's clock. With a bar a second and "
        "bars of a second, the default, it is the wall clock.",
    )
    feed_history_bars: int = Field(
        60,
        ge=0,
        le=10_000,
        description="Simulated: bars of the past for each instrument, delivered at once, so that "
        "the first signals come within seconds.",
    )
    feed_start: AwareDatetime | None = Field(
        None, description="Simulated: time at which the history ends, RFC 3339; unset: now."
    )

    feed_file: Path | None = Field(
        None, description="Recorded: CSV (also .csv.gz) or Parquet file, or a folder of them."
    )
    feed_speed: float = Field(
        0,
        ge=0,
        le=100_000,
        description="Recorded: time steps per second, whatever their length; all bars of one time "
        "are one step. 0 for as fast as possible.",
    )
    feed_symbol: str = Field(
        "",
        description="Recorded: instrument of a file without a symbol column; empty: the file's "
        "name says it, as in AAPL.US.csv.",
    )
    feed_time_format: str = Field(
        "",
        description="Recorded: format of its times, as for strptime (%m/%d/%Y); empty: "
        "ISO 8601. Times without a zone are UTC.",
    )
    feed_run: str = Field(
        "default",
        min_length=1,
        max_length=100,
        description="Recorded: name of this run of the recording. A restart under the same name "
        "resumes after the last published bars; another name begins with the first bar.",
    )
    feed_in_step: bool = Field(
        default=True,
        description="Recorded: let time advance only when executors have handled all bars of a "
        "time and decided all its signals. Without an executor nothing is published then.",
    )
    feed_exit_at_end: bool = Field(
        default=False,
        description="Recorded: end the process with the recording. Off, it stays up and idle, so "
        "that a supervisor which restarts ended processes does not start it again and again.",
    )

    outlier_factor: float = Field(
        5,
        ge=0,
        le=1_000,
        description="A bar with a price so many times as high or as low as the last good one of "
        "its instrument is left out, and counted. 0: none is. At 5 a decimal point in the wrong "
        "place is, and no ordinary day; what moves less is for the executor's PRICE_JUMP_PERCENT.",
    )
    outlier_bars: int = Field(
        3,
        ge=2,
        le=1_000,
        description="So many of these bars in a row, close to one another, are no error: the last "
        "of them is passed on, and those after it. A wrong print lasts a bar, seldom two.",
    )

    score_min: float = Field(
        DEFAULTS.thresholds.minimum,
        ge=0,
        le=100,
        description="Least score that is sent at all; from here on WEAK_BUY.",
    )
    score_buy_min: float = Field(
        DEFAULTS.thresholds.buy, ge=0, le=100, description="Least score of BUY."
    )
    score_strong_buy_min: float = Field(
        DEFAULTS.thresholds.strong_buy, ge=0, le=100, description="Least score of STRONG_BUY."
    )
    score_sell_min: float = Field(
        DEFAULTS.thresholds.sell, ge=0, le=100, description="Least bearish score of SELL."
    )
    atr_stop_loss: float = Field(
        DEFAULTS.exits.stop_loss, gt=0, le=100, description="Stop loss, in ATRs from the price."
    )
    atr_take_profit: float = Field(
        DEFAULTS.exits.take_profit, gt=0, le=100, description="Take profit, in ATRs from the price."
    )
    exit_trail_percent: float | None = Field(
        None,
        gt=0,
        lt=100,
        description="Let the stop of what is bought follow the highest price at this distance, in "
        "percent; unset: it does not.",
    )
    exit_trail_atr: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Let the stop of what is bought follow each bar's high at so many ATRs; unset: "
        "it does not.",
    )
    exit_break_even_percent: float | None = Field(
        None,
        gt=0,
        le=1_000,
        description="Raise the stop to the average cost once the price is so far above it, in "
        "percent; unset: never.",
    )
    exit_hold_seconds: int | None = Field(
        None,
        gt=0,
        le=10 * 366 * 86_400,
        description="Sell what was held for so long by the market's clock; unset: never.",
    )
    signal_cooldown_bars: int = Field(
        DEFAULTS.cooldown_bars,
        ge=0,
        description="Bars after a signal in which its instrument gives no other of the same side, "
        "unless of a stronger type; 0 for none.",
    )

    signal_queue_key: str = Field(
        TRADING_SIGNALS.key, min_length=1, description="Redis key of the signals."
    )
    signal_queue_max_size: int = Field(
        TRADING_SIGNALS.max_backlog or 1_000,
        ge=1,
        description="Unfinished signals at which a weaker one is refused; exits: twice as many.",
    )
    signal_queue_wait: Literal["auto", "always", "never"] = Field(
        "auto",
        description="At a full queue: wait for room, and hold the feed, or drop the signal and "
        "count it. auto: wait with a recording at FEED_SPEED 0, where no signal may be missing.",
    )
    bars_key: str = Field(MARKET_BARS.key, min_length=1, description="Redis key of the bars.")
    strategy_key: str = Field(
        STRATEGY_UPDATES.key, min_length=1, description="Redis key of the strategy's updates."
    )
    system_key: str = Field(
        SYSTEM_EVENTS.key, min_length=1, description="Redis key of the system's events."
    )
    tasks_key: str = Field(TASKS.key, min_length=1, description="Redis key of the tasks.")

    @model_validator(mode="after")
    def _settings_fit_together(self) -> Self:
        try:
            self.thresholds()
        except StrategyError as error:
            raise ValueError(
                f"SCORE_MIN, SCORE_BUY_MIN, SCORE_STRONG_BUY_MIN, SCORE_SELL_MIN: {error}"
            ) from None
        if self.feed == "recorded" and self.feed_file is None:
            raise ValueError("FEED=recorded needs FEED_FILE, a CSV or Parquet file")
        return self

    def thresholds(self) -> Thresholds:
        """Least scores of the types."""
        return Thresholds(
            minimum=self.score_min,
            buy=self.score_buy_min,
            strong_buy=self.score_strong_buy_min,
            sell=self.score_sell_min,
        )

    def rules(self) -> ScanRules:
        """The rules of the scan."""
        return ScanRules(
            thresholds=self.thresholds(),
            exits=Exits(self.atr_stop_loss, self.atr_take_profit),
            cooldown_bars=self.signal_cooldown_bars,
            exit_options=self.exit_options(),
        )

    def exit_options(self) -> ExitOptions | None:
        """Further ways out of what is bought; None when there are none."""
        options = {name: getattr(self, f"exit_{name}") for name in ExitOptions.model_fields}
        wanted = {name: value for name, value in options.items() if value is not None}
        return ExitOptions.model_validate(wanted) if wanted else None

    @property
    def waits_for_room(self) -> bool:
        """Whether a full queue holds the feed instead of costing signals."""
        if self.signal_queue_wait == "auto":
            return self.feed == "recorded" and self.feed_speed == 0
        return self.signal_queue_wait == "always"
