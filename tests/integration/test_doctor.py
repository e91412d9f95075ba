"""`streamdesk doctor` on a whole desk, with a real Prometheus that scrapes it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from streamdesk.console.application.doctor.monitoring import RULE_GROUPS
from tests.monitoring.rules import RULES, rules

Start = Callable[..., Any]
FILES = sorted(RULES.glob("*.yaml"))
UNSET = ("REDIS_URL", "LEDGER_URL", "PROMETHEUS_URL", "ALERTMANAGER_URL", "ALERT_RELAY_URL")
GUARD_SECONDS = 120.0


class Prometheus:
    """A running one."""

    def __init__(self, port: int, process: "subprocess.Popen[bytes]") -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._process = process

    def wait_for(self, expression: str) -> None:
        """Wait until a query has an answer."""
        url = f"{self.url}/api/v1/query?{urlencode({'query': expression})}"
        deadline = time.monotonic() + GUARD_SECONDS
        while not self._answers(url):
            assert self._process.poll() is None, "prometheus ended"
            assert time.monotonic() < deadline, f"{expression} gives nothing"
            time.sleep(0.2)

    def _answers(self, url: str) -> bool:
        try:
            with urlopen(url, timeout=30) as answer:  # noqa: S310 - our own
                return bool(json.load(answer)["data"]["result"])
        except OSError:
            return False


@contextmanager
def prometheus(
    folder: Path, port: int, targets: Sequence[int], rules: Sequence[Path] = ()
) -> Iterator[Prometheus]:
    """One that scrapes these ports every second."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed (Debian: the package prometheus)")
    folder.mkdir()
    addresses = [f"127.0.0.1:{target}" for target in targets]
    scraped = {"job_name": "streamdesk", "static_configs": [{"targets": addresses}]}
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rule) for rule in rules],
        "scrape_configs": [scraped],
    }
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump(settings))
    words = [
        *(program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"),
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield Prometheus(port, process)
    finally:
        process.terminate()
        process.wait(GUARD_SECONDS)


def doctor(*words: str, **variables: str) -> tuple[int, dict[str, dict[str, str]]]:
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    result = subprocess.run(
        [sys.executable, "-m", "streamdesk.console", "doctor", "--json", "--timeout", "60", *words],
        env=kept | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=GUARD_SECONDS,
    )
    assert result.stdout, result.stderr
    rows = json.loads(result.stdout)["checks"]
    return result.returncode, {row["check"]: row for row in rows}


def wrong(findings: dict[str, dict[str, str]]) -> dict[str, str]:
    return {
        name: row["found"]
        for name, row in findings.items()
        if row["status"] in ("failed", "warning")
    }


def until(*words: str, well: bool) -> dict[str, dict[str, str]]:
    """The doctor's report once the desk is healthy, or no longer is."""
    deadline = time.monotonic() + GUARD_SECONDS
    while True:
        code, findings = doctor(*words)
        if (code == 0) is well:
            return findings
        assert time.monotonic() < deadline, wrong(findings)


def test_a_running_desk_is_healthy_and_one_without_its_executor_is_not(up: Start) -> None:
    desk = up()
    desk.wait_until_up()
    data = ("--data", str(desk.folder))
    findings = until(*data, well=True)
    for name in ("topics.consumers", "ledger.tables", "services.ready", "services.trading"):
        assert findings[name]["status"] == "ok", findings[name]
    assert findings["ledger.database"]["found"] == "answers"
    os.kill(desk.pids()["order-executor"], signal.SIGSTOP)
    try:
        findings = until(*data, "--only", "topics.consumers,services.ready", well=False)
        assert "order-executor" in findings["services.ready"]["found"]
        assert "does not answer" in findings["services.ready"]["found"]
        assert "order-executor.log" in findings["services.ready"]["advice"]
    finally:
        os.kill(desk.pids()["order-executor"], signal.SIGCONT)


def test_a_prometheus_with_our_rules_is_well_and_knows_the_services(
    valkey_url: str, tmp_path: Path, any_port: int, another_port: int, up: Start
) -> None:
    desk = up()
    desk.wait_until_up()
    ports = [row["port"] for row in desk.state()["services"] if row["name"] != "redis"]
    with prometheus(tmp_path / "full", any_port, ports, FILES) as server:
        server.wait_for(f"count(up == 1) == {len(ports)}")
        only = "--only=monitoring.prometheus,monitoring.rules,monitoring.targets,services"
        code, findings = doctor("--url", valkey_url, only, PROMETHEUS_URL=server.url)
        assert (code, wrong(findings)) == (0, {})
        alerts = [rule for rule in rules() if "alert" in rule.body]
        assert findings["monitoring.rules"]["found"].startswith(f"{len(alerts)} alerts in ")
        assert findings["services.ready"]["found"] == f"{len(ports)} of {len(ports)} processes"
        assert findings["services.trading"]["found"] == "open at all executors (1)"
    no_server = [1]
    with prometheus(tmp_path / "bare", another_port, no_server) as server:
        server.wait_for("up == 0")
        code, findings = doctor(
            "--url", valkey_url, "--only", "monitoring", PROMETHEUS_URL=server.url
        )
        assert code == 1
        assert findings["monitoring.rules"]["found"] == "no rules are loaded"
        assert "down: streamdesk 127.0.0.1:1" in findings["monitoring.targets"]["found"]
        assert "knows no Alertmanager" in findings["monitoring.alertmanager"]["found"]


def test_the_doctor_expects_the_groups_of_rules_that_there_are() -> None:
    read = [yaml.safe_load(file.read_text()) for file in FILES]
    assert sorted(RULE_GROUPS) == sorted(group["name"] for one in read for group in one["groups"])


@pytest.mark.parametrize("name", ["streamdesk.order_executor"])
def test_the_console_imports_no_service(name: str) -> None:
    code = (
        "import sys, streamdesk.console.factory; "
        "from streamdesk.console.entrypoints.cli.app import app; "
        "assert all([command.loaded for command in app.commands.values()]); "
        f"sys.exit({name!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
