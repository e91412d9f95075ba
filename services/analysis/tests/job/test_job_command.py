import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from streamdesk.market.store import BarStore

StoreOf = Callable[..., BarStore]
COMMAND = [sys.executable, "-m", "streamdesk.analysis", "indicators"]


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    without = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    return subprocess.run(
        [*COMMAND, *arguments],
        env=without | {"REDIS_ENABLED": "false"} | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_simulated_stocks_are_made_once_and_computed(tmp_path: Path) -> None:
    first = run("--simulate", "40", "--market", "US", BAR_STORE_FOLDER=str(tmp_path))
    assert first.returncode == 0, first.stderr
    making, *lines = [json.loads(line) for line in first.stdout.splitlines()]
    assert making == {"kind": "making", "done": 40, "total": 40}
    assert [lines[0]["kind"], lines[0]["stocks"], lines[0]["bars"]] == ["filled", 40, 10_000]
    assert {line["kind"] for line in lines[1:-1]} == {"progress"}
    report = lines[-1]
    assert (report["kind"], report["computed"], report["failed"]) == ("report", 40, {})
    assert report["succeeded"]
    again = run("--simulate", "40", "--market", "US", BAR_STORE_FOLDER=str(tmp_path))
    lines = [json.loads(line) for line in again.stdout.splitlines()]
    # A run may begin a day later than the one before: then there is one bar more of each.
    assert [line["bars"] for line in lines if line["kind"] == "filled"] in ([0], [10_000])
    assert lines[-1]["run_id"] != report["run_id"]


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "says"),
    [
        ([], {"BAR_STORE_FOLDER": ""}, 2, "BAR_STORE_FOLDER="),
        ([], {"BAR_STORE_FOLDER": "nothing", "JOB_WORKERS": "x"}, 2, "JOB_WORKERS=x"),
        (["--market", "XX"], {}, 2, "invalid choice: 'XX'"),
        (["--simulate", "-1"], {}, 2, "expected 1 to 20000"),
        ([], {"BAR_STORE_FOLDER": "nothing"}, 1, "has no bars; let the feed fill it"),
        (["--run-id", "a b"], {"BAR_STORE_FOLDER": "nothing"}, 1, "'a b': expected 1 to 100"),
    ],
)
def test_what_cannot_work_is_said_on_one_line(
    arguments: list[str],
    environment: dict[str, str],
    code: int,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run(*arguments, **environment)
    assert ended.returncode == code
    assert ended.stdout == ""
    assert says in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_job_says_that_it_can_be_resumed(
    number: signal.Signals, store_of: StoreOf
) -> None:
    environment = os.environ | {"BAR_STORE_FOLDER": str(store_of(600).folder)}
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,  # takes connections and never answers:
        subprocess.Popen(  # the job waits for it at its end, so it cannot have ended
            COMMAND,
            env=environment | {"REDIS_URL": f"redis://127.0.0.1:{mute.getsockname()[1]}/0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as job,
    ):
        assert job.stdout is not None
        job.stdout.readline()
        job.send_signal(number)
        _, errors = job.communicate(timeout=300)
    assert job.returncode == 130
    assert errors.splitlines()[-1] == (
        "analysis: interrupted; the same command resumes where it was"
    )
    report = json.loads(
        run(BAR_STORE_FOLDER=environment["BAR_STORE_FOLDER"]).stdout.splitlines()[-1]
    )
    assert report["computed"] + report["resumed"] == 600
    assert report["run_id"].count("-") == 3
