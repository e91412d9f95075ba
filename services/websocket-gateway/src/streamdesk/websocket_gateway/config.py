"""Settings of the gateway."""

from pydantic import Field, SecretStr, field_validator

from streamdesk.contracts import topics
from streamdesk.runtime import CommaSeparated, ServiceSettings

MIN_SECRET_BYTES = 32  # RFC 7518, 3.2: a key of HS256 is as long as its hash, or longer


class Settings(ServiceSettings):
    """Settings of the gateway."""

    gateway_host: str = Field(
        "0.0.0.0",  # noqa: S104 - browsers come from outside the pod
        description="Address that the page, the API and the sockets are served on.",
    )
    gateway_port: int = Field(
        8080, ge=0, le=65_535, description="Port of the page, the API and the sockets; 0: any free."
    )
    gateway_jwt_secret: SecretStr | None = Field(
        None,
        description="Shared secret (HS256) of the tokens, 32 bytes or more. Without it no token is "
        "required: only for one machine or a private network.",
    )
    gateway_allowed_origins: CommaSeparated = Field(
        (),
        description="Origins of other sites whose pages may open sockets here, as in "
        "https://desk.example.com; the gateway's own page always may; * allows all.",
    )
    gateway_idle_timeout_seconds: float = Field(
        60, gt=0, description="A connection that sends nothing for this long is closed, seconds."
    )
    gateway_sweep_seconds: float = Field(
        30, gt=0, description="Pause between checks for idle and expired connections, seconds."
    )
    gateway_stall_timeout_seconds: float = Field(
        10,
        gt=0,
        description="A peer that acknowledges no byte for this many seconds is disconnected "
        "(TCP_USER_TIMEOUT); also the time a slow reader has to receive the close frame.",
    )
    gateway_queue_messages: int = Field(
        1_000, ge=1, description="Messages waiting for one connection at most."
    )
    gateway_queue_bytes: int = Field(
        1 << 20, ge=1_024, description="Bytes waiting for one connection at most."
    )
    gateway_max_connections: int = Field(
        10_000, ge=1, description="Connections at most; further ones get 503 and may retry."
    )
    gateway_max_channels: int = Field(128, ge=1, description="Channels of one connection at most.")
    gateway_max_message_bytes: int = Field(
        65_536,
        ge=1_024,
        description="Longest message of a client, bytes; beyond: close 1009.",
    )
    gateway_history_events: int = Field(
        200, ge=0, description="Recent events of each type that a new subscriber is shown."
    )
    gateway_history_bars: int = Field(
        400, ge=0, description="Recent bars of each instrument that its new subscriber is shown."
    )
    gateway_history_seconds: float = Field(
        900, ge=0, description="How far back on the bus the gateway reads when it starts, seconds."
    )
    gateway_states_seconds: float = Field(
        259_200,
        ge=0,
        description="How far back on the bus HAMA states are read at the start, seconds: the last "
        "of each instrument is shown, and over a weekend many do not change.",
    )
    gateway_lag_ttl_seconds: float = Field(
        1,
        ge=0,
        description="How old an answer of /api/lag may be, seconds; limits the load on Redis.",
    )

    bars_key: str = Field(topics.MARKET_BARS.key, min_length=1, description="Redis key of bars.")
    analysis_key: str = Field(
        topics.ANALYSIS_STATES.key, min_length=1, description="Redis key of HAMA states."
    )
    signal_queue_key: str = Field(
        topics.TRADING_SIGNALS.key, min_length=1, description="Redis key of signals."
    )
    orders_key: str = Field(
        topics.TRADING_ORDERS.key, min_length=1, description="Redis key of orders and fills."
    )
    risk_key: str = Field(
        topics.TRADING_RISK.key, min_length=1, description="Redis key of risk alerts."
    )
    strategy_key: str = Field(
        topics.STRATEGY_UPDATES.key, min_length=1, description="Redis key of strategy updates."
    )
    system_key: str = Field(
        topics.SYSTEM_EVENTS.key, min_length=1, description="Redis key of system events."
    )
    tasks_key: str = Field(topics.TASKS.key, min_length=1, description="Redis key of tasks.")
    news_raw_key: str = Field(
        topics.NEWS_RAW.key, min_length=1, description="Redis key of raw news; for its lag."
    )
    news_filtered_key: str = Field(
        topics.NEWS_FILTERED.key, min_length=1, description="Redis key of filtered news."
    )
    alerts_key: str = Field(
        topics.ALERTS.key, min_length=1, description="Redis key of the alerts' queue; for its lag."
    )

    @field_validator("gateway_jwt_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value().encode()) < MIN_SECRET_BYTES:
            raise ValueError(f"a secret of {MIN_SECRET_BYTES} bytes or more (openssl rand -hex 32)")
        return value
