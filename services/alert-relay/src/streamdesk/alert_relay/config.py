"""Settings of the alert relay."""

from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator

from streamdesk.contracts.topics import ALERTS, SYSTEM_EVENTS
from streamdesk.runtime import CommaSeparated, ServiceSettings

NAME = "alert-relay"
ROBOT_HOST = "oapi.dingtalk.com"
ROBOT_MESSAGES = 20
"""In a minute; after more the robot is cut off for ten minutes."""

ROBOT_BYTES = 20_000
MIN_TOKEN_BYTES = 16
LOOPBACKS = ("127.0.0.1", "::1", "localhost")


def _stripped(value: SecretStr) -> SecretStr:
    return SecretStr(value.get_secret_value().strip())


FileSecret = Annotated[SecretStr, AfterValidator(_stripped)]
"""A secret whose file may end with a line feed."""


def _robot_url(value: SecretStr) -> SecretStr:
    parts = urlsplit(value.get_secret_value())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"https://{ROBOT_HOST}/robot/send?access_token=...")
    if not parse_qs(parts.query).get("access_token"):
        raise ValueError("an address that ends with ?access_token=..., as DingTalk shows it")
    return value


class QueueSettings(ServiceSettings):
    """Settings of the queue."""

    alerts_key: str = Field(ALERTS.key, min_length=1, description="Redis key of the queue.")


class Settings(QueueSettings):
    """Settings of the alert relay."""

    # -- the robot ------------------------------------------------------------------------------

    dingtalk_url: Annotated[FileSecret, AfterValidator(_robot_url)] = Field(
        description="Address of the group's robot, with its access token, as DingTalk shows it.",
    )
    dingtalk_secret: FileSecret | None = Field(
        None, description="The robot's signing secret (SEC...), if it asks for signatures."
    )
    dingtalk_keyword: str = Field(
        "", max_length=50, description="A keyword that the robot asks for in each message."
    )
    dingtalk_any_host: bool = Field(
        default=False,
        description=f"Allow DINGTALK_URL to be another host than {ROBOT_HOST}, and plain http: a "
        "gateway of your own, or a test.",
    )
    dingtalk_messages_per_minute: int = Field(
        18,
        ge=4,
        lt=ROBOT_MESSAGES,
        description="Messages in a minute at most, over all replicas; three of them are kept for "
        "what is critical. At twenty DingTalk cuts the robot off for ten minutes.",
    )
    dingtalk_minute_seconds: float = Field(
        60,
        ge=1,
        le=600,
        description="Length of that minute. Shorter for tests, longer if others use the robot.",
    )
    dingtalk_max_bytes: int = Field(
        18_000,
        ge=4_000,
        le=ROBOT_BYTES,
        description="Longest message; what does not fit is counted in its last line.",
    )
    dingtalk_timeout_seconds: float = Field(
        10, gt=0, le=60, description="Longest wait for the robot's answer, in seconds."
    )
    dingtalk_at_critical: CommaSeparated = Field(
        (),
        description="Who is mentioned when something critical fires: mobile numbers, user ids, or "
        "`all`, comma-separated.",
    )
    dingtalk_at_warning: CommaSeparated = Field(
        (), description="Who is mentioned when nothing worse than a warning fires."
    )

    # -- the webhook ----------------------------------------------------------------------------

    alert_relay_host: str = Field(
        "0.0.0.0",  # noqa: S104 - Alertmanager comes from outside the pod
        description="Address that the webhook listens on.",
    )
    alert_relay_port: int = Field(
        8060, ge=0, le=65_535, description="Port of the webhook; 0: any free."
    )
    alert_relay_token: FileSecret | None = Field(
        None,
        description="Bearer token that Alertmanager must show; without one the webhook listens on "
        "loopback only.",
    )

    # -- what is reported -----------------------------------------------------------------------

    alert_relay_repeat_seconds: float = Field(
        3_600,
        ge=0,
        le=7 * 86_400,
        description="How long something that people know is not repeated. Keep it "
        "below Alertmanager's repeat_interval, which decides about reminders.",
    )
    alert_relay_utc_offset_hours: float = Field(
        0, ge=-12, le=14, description="Clock of the times in messages; 8 for Beijing."
    )
    alert_relay_lease_seconds: float = Field(
        30,
        ge=1,
        le=600,
        description="Lifetime of the lease of the one replica that sends: how long after its "
        "death another takes over.",
    )
    system_key: str = Field(
        SYSTEM_EVENTS.key, min_length=1, description="Redis key of the desk's own events."
    )

    @field_validator("alert_relay_token")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value().encode()) < MIN_TOKEN_BYTES:
            raise ValueError(f"a token of {MIN_TOKEN_BYTES} bytes or more (openssl rand -hex 16)")
        return value
