"""How a bus is set up."""

import os
import socket
from dataclasses import dataclass, field

from streamdesk.bus.connection.address import parse_address
from streamdesk.bus.consuming.breaker import BreakerPolicy
from streamdesk.bus.errors import BusConfigError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed message comes again.

    The wait before retry n is `base_seconds` doubled n - 1 times, at most `cap_seconds`, of which
    a random half to whole is taken, so that messages that failed together do not return together.

    Args:
        max_retries: retries after the first attempt; then the message is dead.
        base_seconds: wait before the first retry.
        cap_seconds: longest wait.
    """

    max_retries: int = 3
    base_seconds: float = 0.5
    cap_seconds: float = 30.0

    def delay_seconds(self, retry: int, chance: float) -> float:
        """Wait before the `retry`-th retry (1 first); `chance` from 0 to 1 sets the jitter."""
        whole = min(self.cap_seconds, self.base_seconds * 2.0 ** min(retry - 1, 60))
        return whole * (0.5 + chance / 2)


def default_instance() -> str:
    """A name for this process, unique on the network for all practical purposes."""
    return f"{socket.gethostname()}-{os.getpid()}"


@dataclass(frozen=True, slots=True)
class Wait:
    """A publish returns when so many replicas have it, too.

    Args:
        replicas: how many must confirm.
        timeout_ms: how long one attempt waits for them; more follow until the publish time-out.
            A replica that comes back meanwhile is heard at the next attempt, not before.
    """

    replicas: int = 1
    timeout_ms: int = 100

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            BusConfigError: names the value and what was expected.
        """
        if self.replicas < 1 or self.timeout_ms < 1:
            raise BusConfigError(f"{self!r}: expected at least 1 replica and 1 ms")


@dataclass(frozen=True, slots=True)
class BusConfig:
    """How a process uses the bus.

    Args:
        url: as `connection/address.py` lists them (`redis://…`, `redis+sentinel://…`, …), or
            `memory://name` for one process alone.
        service: the publisher; part of the consumers' names.
        instance: name of this process among its replicas.
        retry: what happens to a message whose handler failed.
        lease_seconds: a message whose consumer did not renew it for so long goes to another.
            The bus renews while the handler runs, so this bounds the loss of a dead process.
        max_deliveries: deliveries without any outcome (the process died each time) after which
            a message is dead: it probably kills its consumers.
        drain_seconds: time for handlers to finish after a stop was asked for.
        publish_timeout_seconds: how long a publish waits for an unreachable server.
        socket_timeout_seconds: longest wait for any answer; blocking reads stay below half of it.
        breaker: when a consumer stops taking messages because most die.
        durable: what a publish to a durable topic waits for; None to wait for no replica.
    """

    url: str = field(default="redis://localhost:6379/0", repr=False)  # it may have a password
    service: str = "streamdesk"
    instance: str = field(default_factory=default_instance)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    lease_seconds: float = 30.0
    max_deliveries: int = 10
    drain_seconds: float = 15.0
    publish_timeout_seconds: float = 60.0
    socket_timeout_seconds: float = 5.0
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    durable: Wait | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            BusConfigError: names the setting, its value and what was expected.
        """
        if not self.url.startswith("memory:"):
            parse_address(self.url)
        positive = {
            "lease_seconds": self.lease_seconds,
            "publish_timeout_seconds": self.publish_timeout_seconds,
            "socket_timeout_seconds": self.socket_timeout_seconds,
            "max_deliveries": self.max_deliveries,
        }
        for name, value in positive.items():
            if value <= 0:
                raise BusConfigError(f"{name} is {value}; expected more than 0")

    @property
    def block_seconds(self) -> float:
        """Longest blocking read: well below the socket's time-out, so that it never trips it."""
        return min(1.0, self.socket_timeout_seconds / 2)
