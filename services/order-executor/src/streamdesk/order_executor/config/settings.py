"""Settings: name, type, unit, default and reason."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from streamdesk.contracts.fields import Symbol
from streamdesk.contracts.topics import (
    MARKET_BARS,
    TRADING_ORDERS,
    TRADING_RISK,
    TRADING_SIGNALS,
)
from streamdesk.order_executor.config.paper import PaperSettings
from streamdesk.order_executor.config.risk import RiskSettings
from streamdesk.trading.fees import HK_COMMISSION, US_COMMISSION, Commission
from streamdesk.trading.market_tables import MarketTables
from streamdesk.trading.markets import Instruments, MarketCode, Ticks
from streamdesk.trading.money import ZERO
from streamdesk.trading.policy import Policy, fees_of
from streamdesk.trading.rates import BANDS, RateBook

NAME = "order-executor"
ACCOUNT_CURRENCY = "USD"
HKD_WEAKEST, HKD_STRONGEST = BANDS["HKD"]
DATABASES = ("sqlite:///", "sqlite+aiosqlite:///", "postgresql://", "postgresql+asyncpg://")


def _database_url(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(DATABASES):
        raise ValueError(f"a URL that begins with {', '.join(DATABASES[:-1])} or {DATABASES[-1]}")
    return value


DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
Amount = Annotated[Decimal, Field(ge=0, max_digits=15, decimal_places=2)]
Rate = Annotated[Decimal, Field(ge=0, le=1)]


class Settings(RiskSettings, PaperSettings):
    """Settings of the order-executor."""

    order_executor_workers: int = Field(
        4,
        ge=1,
        le=64,
        description="Signals handled concurrently. 1 makes a run repeatable to the cent.",
    )
    signal_queue_key: str = Field(TRADING_SIGNALS.key, description="Redis key of the signals.")
    signal_max_retries: int = Field(
        3, ge=0, description="Retries of a signal before it goes to the dead letters."
    )
    bars_key: str = Field(MARKET_BARS.key, description="Redis key of the bars.")
    orders_key: str = Field(TRADING_ORDERS.key, description="Redis key of orders and fills.")
    risk_key: str = Field(TRADING_RISK.key, description="Redis key of risk alerts.")

    ledger_url: DatabaseUrl = Field(
        SecretStr("sqlite:///.streamdesk/ledger.db"),
        description="Where the ledger is; executors of one account share it. sqlite:///file for "
        "executors on one machine, or postgresql://user:password@host:5432/database, with libpq's "
        "parameters if need be (?sslmode=verify-full).",
    )
    paper_broker_url: DatabaseUrl = Field(
        SecretStr("sqlite:///.streamdesk/paper-broker.db"),
        description="Where the paper broker keeps its own records; belongs to the ledger. On "
        "PostgreSQL it may be the same database: it has tables of its own.",
    )
    database_timeout_seconds: float = Field(
        30, gt=0, description="Seconds to wait for another process's transaction."
    )
    database_answer_seconds: float = Field(
        10,
        gt=0,
        description="Seconds that a PostgreSQL server may be silent before it counts as gone; also "
        "after how many it ends a transaction whose executor is silent.",
    )
    initial_cash: Amount = Field(
        Decimal(1_000_000), description="USD of a new account; an existing one keeps its own."
    )
    initial_cash_hkd: Amount = Field(
        ZERO, description="HKD of a new account besides; an existing one keeps its own."
    )
    usd_per_hkd: Decimal = Field(
        Decimal("0.128"),
        ge=HKD_WEAKEST,
        le=HKD_STRONGEST,
        decimal_places=8,
        description="USD for one HKD, within the band that the currency is held in, 7.75 to 7.85 "
        "HKD a dollar; it holds at all times. A change is a gain or a loss of the currency, never "
        "of a trade.",
    )
    corporate_actions_file: Path | None = Field(
        None,
        description="CSV of splits and cash dividends: symbol,ex_date,kind,ratio,amount,currency,"
        "source. Each is booked once, at the first bar from its ex-date on. It is read again when "
        "it changes. Unset: a split halts its symbol (PRICE_JUMP_PERCENT).",
    )
    rates_file: Path | None = Field(
        None,
        description="CSV of dated rates, in place of USD_PER_HKD: at,currency,rate,source, where "
        "rate is USD for one unit and holds from its day or time on. It is read again when it "
        "changes.",
    )
    rate_max_age_days: float = Field(
        7,
        gt=0,
        le=365,
        description="Days of market time that a rate of RATES_FILE holds. With an older one the "
        "equity is unknown and entries are refused (RATE_UNKNOWN); exits are not. The longest "
        "pause of a central bank's daily rates, over Easter or New Year, is five days.",
    )
    fx_cost_bps: Decimal = Field(
        ZERO,
        ge=0,
        le=1000,
        description="What the broker takes for a conversion between USD and HKD, hundredths of a "
        "percent of its amount.",
    )

    max_positions: int = Field(999, ge=0, description="Open positions in all.")
    max_positions_hk: int = Field(8, ge=0, description="Open positions in Hong Kong.")
    max_positions_us: int = Field(5, ge=0, description="Open positions in the US.")
    score_min: float = Field(30, ge=0, le=100, description="Least score of a buy signal.")
    signal_max_age_seconds: float = Field(
        0, ge=0, description="Seconds in the queue after which a signal is refused; 0: never."
    )
    signal_max_age_bars: int = Field(
        3,
        ge=0,
        le=1_000_000,
        description="Intervals that a signal's bar may be from the newest bar of its symbol: an "
        "older one speaks of a market that is gone, a later one of none that is known.",
    )
    signal_future_tolerance_seconds: float = Field(
        5,
        ge=0,
        description="Seconds that a signal may be dated beyond that, or, where no bar of its "
        "symbol is known, beyond the clock: clocks differ.",
    )
    collar_min_percent: Decimal = Field(
        Decimal(2),
        ge=0,
        le=100,
        description="How far a signal's price may be from the mark, percent: the greater of this "
        "and COLLAR_ATRS.",
    )
    collar_atrs: Decimal = Field(
        Decimal(3),
        ge=0,
        le=100,
        description="The same in average true ranges of 14 bars: a volatile share moves further.",
    )
    collar_max_percent: Decimal = Field(
        Decimal(10),
        ge=0,
        le=100,
        description="The same at most, percent: beyond it exchanges cancel trades as errors.",
    )
    strength_excess_max: Decimal = Field(
        Decimal("0.5"),
        ge=0,
        le=1,
        description="How far the strength of a buy, 0 to 1, may exceed a hundredth of its score: a "
        "weak signal that asks for a full position contradicts itself.",
    )
    mark_required: bool = Field(
        default=False,
        description="Refuse signals of symbols of which no bar is known. Off, such a signal counts "
        "as its own evidence of the market: on paper it costs nothing.",
    )
    sessions: bool = Field(
        default=True,
        description="Refuse signals of bars outside their exchange's hours. Off for a simulated "
        "market, which never closes.",
    )
    session_hours_file: Path | None = Field(
        None,
        description="CSV of hours that stand above the calendars, for closures at short notice: "
        "date,market,open,close,source; without open and close the day is closed.",
    )
    slippage_limit_bps: Decimal = Field(
        Decimal(50),
        ge=0,
        le=1000,
        description="How far from the mark an order may trade, hundredths of a percent.",
    )
    market_tables_folder: Path | None = Field(
        None,
        description="Folder with some of lots.csv, ticks.csv and fees.csv: rows over the built-in "
        "tables (docs/market-tables.md), each from a day on; unset: none.",
    )
    lot_sizes: dict[Symbol, Annotated[int, Field(gt=0)]] = Field(
        default_factory=dict,
        description='Shares in a lot, over the tables, as JSON: {"700.HK": 100}.',
    )
    hk_default_lot: int = Field(
        0,
        ge=0,
        description="Shares in a lot of Hong Kong symbols without a known one; 0 refuses them, "
        "because a wrong lot makes orders that the exchange refuses.",
    )

    us_commission_per_share: Rate = Field(US_COMMISSION.per_share, description="USD a share.")
    us_commission_min: Amount = Field(US_COMMISSION.minimum, description="USD an order.")
    hk_commission_rate: Rate = Field(HK_COMMISSION.rate, description="Part of the value.")
    hk_commission_min: Amount = Field(HK_COMMISSION.minimum, description="HKD an order.")
    broker_timeout_seconds: float = Field(
        5, gt=0, description="Seconds after which a broker's answer counts as lost."
    )
    entry_timeout_seconds: float = Field(
        300,
        gt=0,
        description="Seconds of market time after which what is left of a buy is canceled, so that "
        "its cash is free: five one-minute bars, older than that its price is no price of this "
        "market. Where bars are longer, at least two of them.",
    )
    reconcile_interval_seconds: float = Field(
        5,
        gt=0,
        description="Seconds between two comparisons with the broker, and how long an order is "
        "left to the executor that made it.",
    )
    valuation_interval_seconds: float = Field(
        3, gt=0, description="Least seconds between two valuations because of prices."
    )
    book_check_interval_seconds: float = Field(
        300,
        gt=0,
        description="Seconds between two checks of the books: the ledger worked out again from "
        "its fills, and compared with the broker's records.",
    )
    bars_replay_seconds: float = Field(
        300,
        ge=0,
        description="Seconds of bars read again at start: stops crossed in the meantime count, and "
        "the market's present is known before the first signal is decided.",
    )
    outbox_lease_seconds: float = Field(
        5, gt=0, description="Seconds without published events after an executor was killed."
    )
    outbox_keep: int = Field(10_000, ge=0, description="Published events kept for inspection.")

    def opening_balances(self) -> dict[str, Decimal]:
        """Cash by currency of a new account."""
        foreign = {"HKD": self.initial_cash_hkd} if self.initial_cash_hkd else {}
        return {ACCOUNT_CURRENCY: self.initial_cash, **foreign}

    def rates(self) -> RateBook:
        """Value of the currencies; of a file it is empty until the file is read."""
        fixed = {"HKD": self.usd_per_hkd} if self.rates_file is None else {}
        max_age = timedelta(days=self.rate_max_age_days)
        return RateBook(ACCOUNT_CURRENCY, fixed, self.fx_cost_bps, max_age)

    def policy(self, tables: MarketTables) -> Policy:
        """The numbers that the rules go by, with what `market_tables_folder` says of markets."""
        return Policy(
            max_positions=self.max_positions,
            max_positions_by_market={
                MarketCode.HK: self.max_positions_hk,
                MarketCode.US: self.max_positions_us,
            },
            size_min_percent=self.size_min_percent,
            size_max_percent=self.size_max_percent,
            score_min=self.score_min,
            signal_max_age_seconds=self.signal_max_age_seconds,
            signal_max_age_bars=self.signal_max_age_bars,
            future_tolerance_seconds=self.signal_future_tolerance_seconds,
            collar_min_percent=self.collar_min_percent,
            collar_atrs=self.collar_atrs,
            collar_max_percent=self.collar_max_percent,
            strength_excess_max=self.strength_excess_max,
            mark_required=self.mark_required,
            slippage_limit_bps=self.slippage_limit_bps,
            limits=self.limits(),
            instruments=Instruments(self.lot_sizes, self.hk_default_lot, tables.lots),
            ticks=Ticks(tables.ticks),
            fees=fees_of(tables, self._commissions()),
        )

    def _commissions(self) -> dict[MarketCode, Commission]:
        return {
            MarketCode.US: Commission(
                per_share=self.us_commission_per_share, minimum=self.us_commission_min
            ),
            MarketCode.HK: Commission(rate=self.hk_commission_rate, minimum=self.hk_commission_min),
        }
