"""Settings: from the environment only, each with a type, a unit, a default and a reason."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypedDict, TypeVar
from urllib.parse import quote

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from streamdesk.runtime.redis_url import check_redis_url

W = TypeVar("W")
DRAIN_SHARE = 0.6  # of the grace period is for pending messages; the rest is for what follows


def _words(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(word.strip() for word in value.split(",") if word.strip())


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
"""Several words in one variable, as in `SYMBOLS=AAPL.US,700.HK`."""


def _redis_url(value: SecretStr) -> SecretStr:
    check_redis_url(value.get_secret_value())
    return value


def _redis_url_from_parts(values: dict[str, Any]) -> SecretStr:
    """REDIS_HOST, REDIS_PORT, REDIS_DB and REDIS_PASSWORD as one URL."""
    password: SecretStr | None = values["redis_password"]
    login = f":{quote(password.get_secret_value(), safe='')}@" if password else ""
    host: str = values["redis_host"]
    host = f"[{host}]" if ":" in host else host
    return SecretStr(f"redis://{login}{host}:{values['redis_port']}/{values['redis_db']}")


def _instance() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


class BusSettings(TypedDict, Generic[W]):
    """Keyword arguments for `streamdesk.bus.BusConfig`; this library does not import the bus."""

    url: str
    service: str
    instance: str
    lease_seconds: float
    max_deliveries: int
    drain_seconds: float
    durable: W | None


class ServiceSettings(BaseSettings):
    """Settings of every service; a service's `config.py` extends it.

    The variable is the field's name in upper case. A variable that is set but empty counts as
    not set, so that a chart may pass on what it does not know.
    """

    model_config = SettingsConfigDict(
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
    )

    redis_host: str = Field("localhost", description="Host of the Redis server.")
    redis_port: int = Field(6379, ge=1, le=65_535, description="Port of the Redis server.")
    redis_db: int = Field(0, ge=0, description="Number of the Redis database.")
    redis_password: SecretStr | None = Field(None, description="Password of the Redis server.")
    redis_url: Annotated[SecretStr, AfterValidator(_redis_url)] = Field(
        default_factory=_redis_url_from_parts,
        description="Where the bus is: redis://, rediss://, unix://, memory://name, or behind "
        "Sentinels redis+sentinel://user:password@host:26379,host:26379/master/db. "
        "Wins over REDIS_HOST, REDIS_PORT, REDIS_DB and REDIS_PASSWORD, which make it otherwise.",
    )
    bus_lease_seconds: float = Field(
        30,
        gt=0,
        description="Seconds after which a message that is pending at a consumer and not renewed "
        "is given to another: how long a killed process delays what it held.",
    )
    bus_max_deliveries: int = Field(
        10,
        ge=1,
        description="Times a message is handed out although each process that had it died, until "
        "it goes to the dead letters: it probably kills them.",
    )
    bus_wait_replicas: int = Field(
        0,
        ge=0,
        description="Replicas that must have an event of a durable topic before its publish "
        "returns: what survives the loss of the Redis server. 0: do not wait.",
    )
    bus_wait_timeout_ms: int = Field(
        100,
        ge=1,
        description="Milliseconds that one attempt waits for BUS_WAIT_REPLICAS; more follow.",
    )
    instance: str = Field(
        default_factory=_instance,
        min_length=1,
        max_length=200,
        description="Name of this process among those of its service, in logs and as the "
        "consumer's name; host name and process id unless set.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level that is logged."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="One JSON object a line, or lines for a person; auto: on a terminal."
    )
    metrics_host: str = Field(
        "0.0.0.0",  # noqa: S104 - probes and scrapes come from outside the pod
        description="Address that /metrics, /livez and /readyz listen on.",
    )
    metrics_port: int = Field(
        9464, ge=0, le=65_535, description="Port of /metrics, /livez and /readyz; 0 for any."
    )
    grace_seconds: float = Field(
        20,
        gt=0,
        description="Seconds from SIGTERM to the end: to finish or give back what is pending, "
        "and to close. Keep it below the pod's terminationGracePeriodSeconds.",
    )
    dev_reload_folder: Path | None = Field(
        None,
        description="Development only: run from a copy of the sources in this folder, again "
        "whenever one of them changes.",
    )

    def bus_config(self, service: str, wait: Callable[[int, int], W]) -> BusSettings[W]:
        """Keyword arguments for `BusConfig`.

        Args:
            service: name of the service, as in `topics.py`.
            wait: `streamdesk.bus.Wait`: makes replicas and milliseconds into what `durable` is.
        """
        replicas = self.bus_wait_replicas
        return {
            "url": self.redis_url.get_secret_value(),
            "service": service,
            "instance": self.instance,
            "lease_seconds": self.bus_lease_seconds,
            "max_deliveries": self.bus_max_deliveries,
            "drain_seconds": self.grace_seconds * DRAIN_SHARE,
            "durable": wait(replicas, self.bus_wait_timeout_ms) if replicas else None,
        }
