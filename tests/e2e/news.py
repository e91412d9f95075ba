"""The news services in the cluster: a recording, a stand-in for EODHD, and what they count."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.request import Request, urlopen

from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.e2e.desk import PYTHON, ROOT, Desk
from tests.e2e.kube import Object, wait_until

FETCHER, FILTER = "news-fetcher", "news-filter"
RECORDING, KEY_SECRET = "e2e-recording", "e2e-eodhd-key"
METRICS_PORT, SOURCE_PORT = 9464, 8080
PATIENCE_SECONDS = 60
HEARTBEAT_SECONDS = 10
SOURCE = "e2e-eodhd"
SOURCE_LABELS = {"app": SOURCE}
KEY = "not-a-key-of-eodhd"
GOOD = "Apple beats estimates and raises its outlook after record profit"
DULL = "Apple to hold its annual meeting on Thursday"


def recording(prefix: str, count: int) -> str:
    """Good news, one article a second, with a dull one after each; as JSON lines."""
    began = datetime(2026, 1, 5, 15, tzinfo=UTC)
    lines = []
    for number in range(count):
        for kind, title, polarity in (("good", GOOD, 0.9), ("dull", DULL, 0.0)):
            article = {
                "date": (began + timedelta(seconds=number)).isoformat(),
                "title": f"{title} ({number})",
                "content": "",
                "link": f"https://news.example/{prefix}-{kind}-{number}",
                "symbols": ["AAPL.US"],
                "tags": [],
                "sentiment": {"polarity": polarity},
            }
            lines.append(json.dumps(article))
    return "\n".join(lines)


def keep(desk: Desk, kind: str, name: str, data: dict[str, str]) -> None:
    """A ConfigMap or a secret of the test's own."""
    field = "data" if kind == "ConfigMap" else "stringData"
    made = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, field: data}
    desk.kube.run("apply", "--filename", "-", stdin=json.dumps(made))


class Meter:
    """The metrics of one pod.

    Args:
        port: of this machine, which leads to them.
    """

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/metrics"

    def sum(self, name: str, **labels: str) -> float:
        """All series of this name and these labels together; 0 where there is none."""
        with urlopen(self._url, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - our own port
            families = list(text_string_to_metric_families(answer.read().decode()))
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@contextlib.contextmanager
def meter(desk: Desk, pod: str) -> Iterator[Meter]:
    """A way to a pod's metrics."""
    with desk.kube.forward(f"pod/{pod}", METRICS_PORT) as port:
        yield Meter(port)


class News:
    """What the gateway sends of the filtered news, read by a thread: it drops who reads slowly.

    Args:
        socket: a connection to it.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._seen: list[dict[str, Any]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                # The gateway ends a connection on which nothing was heard for a minute.
                self._socket.send('{"type":"heartbeat"}')
                self._read_for(HEARTBEAT_SECONDS)

    def _read_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        with contextlib.suppress(TimeoutError):
            while (left := until - time.monotonic()) > 0:
                message = json.loads(self._socket.recv(left))
                if message.get("event") == "NewsFiltered":
                    self._seen.append(message["data"])

    def wait_for(self, links: set[str]) -> None:
        """Wait until all of them have come."""

        def missing() -> set[str]:
            return links - {article["link"] for article in list(self._seen)}

        wait_until(lambda: not missing(), "news", lambda: f"missing: {sorted(missing())}")

    def about(self, prefix: str) -> list[dict[str, Any]]:
        """What came so far, of the links that have this in them."""
        return [article for article in list(self._seen) if prefix in article["link"]]


@contextlib.contextmanager
def listening(desk: Desk) -> Iterator[News]:
    """Filtered news from now on."""
    with desk.gateway() as port:
        url = f"ws://127.0.0.1:{port}/ws/events?channels=events:news&token={desk.token()}"
        with connect(url) as socket:
            yield News(socket)


@contextlib.contextmanager
def eodhd(desk: Desk, *arguments: str) -> Iterator[str]:
    """The server of tests/eodhd_server.py in a pod of its own; where it is, for other pods."""
    source = (ROOT / "tests" / "eodhd_server.py").read_text()
    words = ["--host", "0.0.0.0", "--port", str(SOURCE_PORT), "--key", KEY, *arguments]  # noqa: S104 - in a pod
    desk.outsider(SOURCE, [PYTHON, "-c", source, *words], SOURCE_LABELS)
    found: Object = desk.kube.get("pod", SOURCE)
    try:
        yield f"http://{found['status']['podIP']}:{SOURCE_PORT}"
    finally:
        desk.kube.run("delete", "pod", SOURCE, "--wait=false")


def script(desk: Desk, **settings: object) -> None:
    """Script that server's answers; see `scripted` there."""
    with desk.kube.forward(f"pod/{SOURCE}", SOURCE_PORT) as port:
        request = Request(f"http://127.0.0.1:{port}/_script", json.dumps(settings).encode())
        urlopen(request, timeout=PATIENCE_SECONDS).close()  # noqa: S310 - our own port
