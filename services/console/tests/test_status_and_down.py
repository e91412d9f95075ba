import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamdesk.console.__main__ import run
from streamdesk.console.adapters.folder import Folder
from streamdesk.console.adapters.processes import watchdog
from streamdesk.console.application import end_desk
from streamdesk.console.domain.state import DeskState, ServiceState

HOLDER = """
import signal, sys
from pathlib import Path
from streamdesk.console.adapters.folder import Folder
signal.signal(signal.SIGTERM, signal.SIG_IGN if sys.argv[2] == "deaf" else lambda *_: sys.exit(0))
with Folder(Path(sys.argv[1])).held():
    print("held", flush=True)
    while True:
        signal.pause()
"""


def state(pid: int) -> DeskState:
    shared = {"since": time.time() - 90, "restarts": 0, "log": str(Path.cwd() / "a.log")}
    services: list[dict[str, object]] = [
        {"name": "redis", "pid": 4711, "state": "running", "ready": None, "port": 7000},
        {"name": "news-filter", "pid": 4712, "state": "running", "ready": True, "port": 7001},
        {"name": "news-fetcher", "pid": None, "state": "waiting", "ready": False, "port": None},
    ]
    return DeskState(
        pid=pid,
        status="up",
        started_at=0,
        page="http://localhost:8080",
        analysis="http://localhost:5000/api/gainer-analysis",
        redis_url="redis://:secret@127.0.0.1:7000/0",
        services=tuple(ServiceState.model_validate({**shared, **one}) for one in services),
    )


@pytest.fixture(params=["polite", "deaf"])
def holder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the folder as `up` does; the deaf one does not end by SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path), request.param],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    Folder(tmp_path).write(state(process.pid))
    yield process
    process.kill()
    process.communicate()


def test_status_shows_every_process_and_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Folder(tmp_path)
    with folder.held():
        folder.write(state(os.getpid()))
        assert run(["status", "--data", str(tmp_path)]) == 0
        table = capsys.readouterr().out
        assert run(["status", "--json", "--data", str(tmp_path)]) == 0
        value = json.loads(capsys.readouterr().out)
    for word in ("news-filter", "4712", "1 min 30 s", "yes", "waiting", "7001", "a.log"):
        assert word in table
    assert "analysis: http://localhost:5000/api/gainer-analysis" in table
    assert value["analysis"] == "http://localhost:5000/api/gainer-analysis"
    assert "secret" not in table + json.dumps(value)
    assert [service["pid"] for service in value["services"]] == [4711, 4712, None]


def test_down_ends_the_desk_politely_or_else_by_force(
    holder: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(end_desk, "DOWN_SECONDS", 2.0)
    assert run(["down", "--data", str(tmp_path)]) == 0
    assert holder.wait(60) in (0, -signal.SIGKILL)
    assert not Folder(tmp_path).is_held()


@pytest.mark.parametrize(
    ("line", "code"),
    [("exec sleep 60", -signal.SIGTERM), ("trap '' TERM; echo; sleep 60; :", -signal.SIGKILL)],
)
def test_the_watchdog_asks_first_and_then_kills(line: str, code: int) -> None:
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"echo ready; {line}"], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    if code == -signal.SIGKILL:
        assert process.stdout.readline() == b"ready\n"
        assert process.stdout.readline() == b"\n"
    watchdog.end({process.pid}, grace_seconds=0.2)
    assert process.wait(60) == code
    process.stdout.close()
