"""The analysis in the cluster: its API, its replicas, and what the gateway shows of it."""

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.request import Request, urlopen

from websockets.sync.client import connect

from tests.e2e.desk import RELEASE, Desk
from tests.e2e.kube import LONGEST_WAIT_SECONDS, wait_until

COMPONENT = "analysis"
PREFIX = "/api/gainer-analysis/"
PORT, METRICS_PORT = 5000, 9464
PATIENCE_SECONDS = 60
FIRED = re.compile(
    r'^scheduler_fires_total\{name="hama",outcome="([a-z-]+)"\} ([0-9.e+]+)$', re.MULTILINE
)


@dataclass(frozen=True)
class Replica:
    """One pod, or the Service when any will do."""

    port: int
    metrics_port: int

    def ask(self, path: str, body: object = None) -> Any:
        """What is in the envelope of an answer; POST when there is a body."""
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.port}{PREFIX}{path}"
        request = Request(url, data, {"Content-Type": "application/json"})
        with urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - our own port
            envelope = json.load(answer)
        assert envelope["code"] == 1, envelope
        return envelope["data"]

    def fires(self) -> dict[str, int]:
        """Slots by outcome that this process saw to, since it began."""
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        with urlopen(url, timeout=PATIENCE_SECONDS) as answer:
            return {
                name: int(float(count)) for name, count in FIRED.findall(answer.read().decode())
            }


@dataclass(frozen=True)
class Look:
    """The schedule between two slots.

    Attributes:
        slot: start of the last one, whose work is over.
        fired: slots that all replicas together fired since they began.
    """

    slot: datetime
    fired: int


@contextlib.contextmanager
def reach(desk: Desk, target: str) -> Iterator[Replica]:
    """A way from this machine to `pod/…` or `service/…`."""
    with desk.kube.forward(target, PORT) as port, desk.kube.forward(target, METRICS_PORT) as other:
        yield Replica(port, other)


def look(replicas: list[Replica]) -> Look:
    """Where the schedule stands, when it stands still."""
    found: list[Look] = []

    def stands_still() -> bool:
        before = replicas[0].ask("scheduler/status")
        fired = sum(replica.fires().get("fired", 0) for replica in replicas)
        after = replicas[0].ask("scheduler/status")
        if before["last_slot"] is None or before["last_ended_at"] is None or before != after:
            return False
        found.append(Look(datetime.fromisoformat(before["last_slot"]), fired))
        return True

    wait_until(
        stands_still, "a moment without a slot", lambda: str(replicas[0].ask("scheduler/status"))
    )
    return found[0]


def leaders(replicas: list[Replica]) -> list[int]:
    """Which of the replicas say that they fire the slots."""
    return [n for n, each in enumerate(replicas) if each.ask("scheduler/status")["leader"]]


@contextlib.contextmanager
def listening(desk: Desk, channel: str) -> Iterator[Iterator[dict[str, Any]]]:
    """What the gateway sends on a channel, as it comes."""
    with desk.gateway() as port:
        url = f"ws://127.0.0.1:{port}/ws/events?channels={channel}&token={desk.token()}"
        with connect(url) as socket:
            yield iter(lambda: json.loads(socket.recv(LONGEST_WAIT_SECONDS)), None)


def bar_files(desk: Desk) -> list[str]:
    """What the bar store has on its claim."""
    words = ("exec", f"deploy/{RELEASE}-{COMPONENT}", "--", "find", "/bars", "-name", "*.parquet")
    return desk.kube.run(*words).split()
