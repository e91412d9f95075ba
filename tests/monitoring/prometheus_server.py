"""A real Prometheus on loopback, for tests."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

PATIENCE_SECONDS = 120.0


class Prometheus:
    """A running server's HTTP API."""

    def __init__(self, port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.port = port
        self._process = process
        self._log = log

    def api(self, path: str, **parameters: str) -> Any:
        """What `/api/v1/<path>` answers."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urlencode(parameters)}"
        with urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query."""
        found: list[dict[str, Any]] = self.api("query", query=expression)["result"]
        return found

    def wait_for(self, expression: str) -> list[dict[str, Any]]:
        """The series, once there is one."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                if found := self.query(expression):
                    return found
            except OSError:
                assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, f"{expression} gives nothing"
            time.sleep(0.2)


@contextmanager
def prometheus(
    folder: Path,
    port: int,
    targets: Mapping[str, Sequence[int]],
    rules: Sequence[Path] = (),
    alertmanager_port: int | None = None,
    every_seconds: int = 1,
) -> Iterator[Prometheus]:
    """Runs a server that scrapes each job's ports.

    Args:
        folder: for its data; must exist.
        port: where it listens.
        targets: ports by job.
        rules: files of rules.
        alertmanager_port: where alerts go, if anywhere.
        every_seconds: from scrape to scrape, and the longest a scrape may take; rules likewise.
    """
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed (Debian: the package prometheus)")
    pause = f"{every_seconds}s"
    config: dict[str, Any] = {
        "global": {"scrape_interval": pause, "scrape_timeout": pause, "evaluation_interval": pause},
        "rule_files": [str(rule) for rule in rules],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{p}" for p in ports]}]}
            for job, ports in targets.items()
        ],
    }
    if alertmanager_port is not None:
        target = {"targets": [f"127.0.0.1:{alertmanager_port}"]}
        config["alerting"] = {"alertmanagers": [{"static_configs": [target]}]}
    file, log = folder / "prometheus.yml", folder / "prometheus.log"
    file.write_text(yaml.safe_dump(config))
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ],
            stdout=out,
            stderr=out,
        )
    try:
        yield Prometheus(port, process, log)
    finally:
        process.terminate()
        process.wait(60)
