"""The news services as processes, for tests and the benchmark: started as a user starts them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.servers import LOOPBACK

PAUSE_SECONDS = 0.05
LONGEST_START_SECONDS = 120
LONGEST_WORK_SECONDS = 300  # only ends a wait that hangs
LONGEST_ANSWER_SECONDS = 60
LONGEST_END_SECONDS = 60


class NewsProcess:
    """One `python -m streamdesk.<module>`; ends with the block that it is used in.

    Args:
        module: `news_fetcher` or `news_filter`.
        url: of the Redis server.
        arguments: of its command line; without any it runs as a service.
        environment: further settings.

    Attributes:
        log: the lines that it wrote so far; a line that is no JSON is an `event` of its own.
    """

    def __init__(self, module: str, url: str, *arguments: str, **environment: str) -> None:
        common = {
            "REDIS_URL": url,
            "METRICS_HOST": LOOPBACK,
            "METRICS_PORT": "0",
            "LOG_FORMAT": "json",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"streamdesk.{module}", *arguments],
            env=os.environ | common | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.log: list[dict[str, Any]] = []
        self._probe_port = 0
        self._started = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            entry: dict[str, Any] = json.loads(line) if line.startswith("{") else {"event": line}
            self.log.append(entry)
            if entry.get("event") == "started":
                self._probe_port = entry["probe_port"]
                self._started.set()
        self._started.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def probe_port(self) -> int:
        """Where its metrics and probes are, once it has started."""
        assert self._started.wait(LONGEST_START_SECONDS), "the service did not start"
        assert self._probe_port, f"the service ended: {self.log}"
        return self._probe_port

    def ask(self, path: str) -> httpx.Response:
        """What `metrics`, `livez` or `readyz` answers."""
        url = f"http://{LOOPBACK}:{self.probe_port}/{path}"
        return httpx.get(url, timeout=LONGEST_ANSWER_SECONDS)

    def metrics(self) -> "Metrics":
        """All its metrics, as Prometheus would read them now."""
        return Metrics(self.ask("metrics").text)

    def metrics_when(self, holds: Callable[["Metrics"], bool], what: str) -> "Metrics":
        """Its metrics, once they show something."""
        deadline = time.monotonic() + LONGEST_WORK_SECONDS
        while not holds(shown := self.metrics()):
            assert time.monotonic() < deadline, f"{what} did not happen"
            time.sleep(PAUSE_SECONDS)
        return shown

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, in any state."""
        self._process.kill()
        self._close()

    def stop(self) -> int:
        """End it in order; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Its exit code, once it has ended by itself."""
        code = self._process.wait(LONGEST_END_SECONDS)
        self._close()
        return code

    def _close(self) -> None:
        self._process.wait(LONGEST_END_SECONDS)
        self._reader.join(LONGEST_END_SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()


class Metrics:
    """What a process shows at one moment."""

    def __init__(self, text: str) -> None:
        self._samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def total(self, name: str, **labels: str) -> float:
        """The sum over all samples of this name that have these labels; 0 where there is none."""
        return sum(
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def by_label(self, name: str, label: str) -> dict[str, float]:
        """The values above 0 of the samples of this name, by one of their labels."""
        return {
            sample.labels[label]: sample.value
            for sample in self._samples
            if sample.name == name and sample.value > 0
        }
