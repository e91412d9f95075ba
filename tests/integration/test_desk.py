"""`streamdesk up` as a newcomer runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from streamdesk.console.config import STOP_SECONDS

Start = Callable[..., Any]
FIGURES = ["bars", "signals", "orders", "fills", "news_raw", "news_filtered", "dead", "errors"]
SECONDS = 25


def test_a_desk_trades_by_itself_without_an_error_and_its_last_line_is_the_result(
    up: Start,
) -> None:
    desk = up("--seconds", str(SECONDS), "--executors", "2")
    code = desk.process.wait(120)
    result = json.loads(desk.output().splitlines()[-1])
    assert list(result) == FIGURES
    assert (result["dead"], result["errors"]) == (0, 0), desk.output()
    assert desk.errors_logged() == []
    assert all(result[name] > 0 for name in FIGURES[:6]), result
    assert code == 0


def test_ctrl_c_ends_every_process_within_five_seconds(up: Start) -> None:
    desk = up()
    desk.wait_until_up()
    assert set(desk.pids()) == {
        "redis",
        "signal-generator",
        "order-executor",
        "news-fetcher",
        "news-filter",
        "analysis",
        "websocket-gateway",
    }
    assert desk.interrupt() <= STOP_SECONDS
    assert desk.left_over() == set()
    assert desk.process.returncode == 0
    assert desk.errors_logged() == []


def test_the_analysis_answers_where_the_desk_says_and_keeps_the_feeds_bars(up: Start) -> None:
    desk = up()
    desk.wait_until_up()
    url = f"{desk.state()['analysis']}/analyze-batch"
    question = Request(url, json.dumps({"symbols": ["AAPL.US", "BTCUSDT"]}).encode())  # noqa: S310 - the desk's own
    with urlopen(question, timeout=120) as answer:  # noqa: S310 - the desk's own
        envelope = json.load(answer)
    assert (envelope["code"], envelope["data"]["succeeded"]) == (1, 2)
    desk.wait_for(
        lambda: any((desk.folder / "bars").rglob("*.parquet")), "bars are in the bar store"
    )
    desk.interrupt()
    assert desk.errors_logged() == []


def test_a_second_desk_in_the_same_folder_is_refused_in_one_line(up: Start) -> None:
    first = up()
    first.wait_for(lambda: bool(first.state()), "the first desk has begun")
    second = up("--data", str(first.folder))
    assert second.process.wait(60) == 1
    assert second.output().count("\n") == 1
    assert "streamdesk down" in second.output()
    assert first.process.poll() is None


def test_a_desk_in_the_background_is_shown_watched_and_ended(
    tmp_path: Path, alive: Callable[[int], bool], any_port: int, another_port: int
) -> None:
    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "streamdesk.console", *arguments],
            cwd=tmp_path,
            env={**os.environ, "REDIS_URL": "", "ANALYSIS_PORT": str(another_port)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def run(*arguments: str) -> str:
        done = command(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        assert "websocket-gateway" in run("up", "-d", "--port", str(any_port))
        services = json.loads(run("status", "--json"))["services"]
        assert all(service["ready"] in (True, None) for service in services)
        assert json.loads(run("queue", "--once", "--json"))["failed"] == 0
        assert "order-executors" in run("bus", "lag")
        assert "ended" in run("down")
        assert not any(alive(service["pid"]) for service in services)
    finally:
        command("down")
