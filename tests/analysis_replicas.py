"""Replicas of the analysis service as processes, for tests and the benchmark."""

import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import httpx

LOOPBACK = "127.0.0.1"
PREFIX = "/api/gainer-analysis"
LONGEST_START_SECONDS = 120
LONGEST_ANSWER_SECONDS = 120


class Replica:
    """One process, as a user would start it.

    Args:
        environment: its settings; a scheduler is only there if they name it.
    """

    def __init__(self, **environment: str) -> None:
        quiet = {
            "ANALYSIS_HOST": LOOPBACK,
            "ANALYSIS_PORT": "0",
            "METRICS_HOST": LOOPBACK,
            "METRICS_PORT": "0",
            "LOG_FORMAT": "json",
            "HAMA_SCHEDULER_ENABLED": "false",
            # A busy machine must not be mistaken for an unresponsive server.
            "HAMA_CACHE_TIMEOUT_SECONDS": "60",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streamdesk.analysis"],
            env=os.environ | quiet | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.log: list[dict[str, Any]] = []
        self._ports: dict[str, int] = {}
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            entry: dict[str, Any] = json.loads(line) if line.startswith("{") else {"event": line}
            self.log.append(entry)
            if entry["event"] == "listening":
                self._ports["http"] = entry["port"]
                self._listening.set()
        self._listening.set()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def port(self) -> int:
        """Of the API, once it listens."""
        assert self._listening.wait(LONGEST_START_SECONDS), "the service did not start"
        assert "http" in self._ports, f"the service ended: {self.log}"
        return self._ports["http"]

    def post(self, path: str, **question: Any) -> httpx.Response:
        """Ask with a JSON body."""
        return httpx.post(self._url(path), json=question, timeout=LONGEST_ANSWER_SECONDS)

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask without one."""
        return httpx.get(self._url(path), headers=headers, timeout=LONGEST_ANSWER_SECONDS)

    def _url(self, path: str) -> str:
        return f"http://{LOOPBACK}:{self.port}{PREFIX}/{path}"

    def stats(self) -> dict[str, Any]:
        """What cache-stats says."""
        data: dict[str, Any] = self.get("cache-stats").json()["data"]
        return data

    def events(self) -> list[str]:
        """What it logged so far."""
        return [entry["event"] for entry in self.log]

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait(60)

    def stop(self) -> int:
        """End it in order; its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(60)
        finally:
            self._process.kill()
        self._reader.join(60)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code
