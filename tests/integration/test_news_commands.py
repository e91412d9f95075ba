"""News in a terminal, over a desk that plays a recording of three articles."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]
GOOD = "Apple beats estimates and raises its dividend"
BAD = "Tencent shares plunge after a fraud investigation"
STRANGER = "Northwind Semiconductor beats estimates and raises its dividend"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Three articles, a second apart, in the provider's shape."""
    rows = [(GOOD, "AAPL.US"), (BAD, "0700.HK"), (STRANGER, "NWSC.US")]
    path = tmp_path / "recorded" / "news.jsonl"
    path.parent.mkdir()
    lines = [
        {
            "date": f"2026-11-20T15:29:0{number}+00:00",
            "title": title,
            "content": "",
            "link": f"https://news.example/{number}",
            "symbols": [symbol],
            "tags": [],
            "sentiment": None,
        }
        for number, (title, symbol) in enumerate(rows)
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`command(desk, "tail", …)`: `streamdesk news tail …` on this desk."""

    def run(desk: Any, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "streamdesk.console", "news", *words, "--data", desk.folder],
            cwd=tmp_path,
            env={**os.environ, "REDIS_URL": "", **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def test_news_is_followed_explained_and_fetched_by_one_fetcher_alone(
    up: Start, recording: Path, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    desk = up("--news-recording", str(recording), SENTIMENT_MODE="absolute")
    desk.wait_until_up()

    raw = command(desk, "tail", "--raw", "--since", "0", "--limit", "3", "--json")
    assert [json.loads(line)["event"]["title"] for line in raw.stdout.splitlines()] == [
        *(GOOD, BAD, STRANGER)
    ], raw.stderr
    passed = command(desk, "tail", "--since", "0", "--limit", "2", "--json")
    events = [json.loads(line)["event"] for line in passed.stdout.splitlines()]
    reasons = {event["title"]: event["reason"] for event in events}
    assert reasons[GOOD].startswith("sentiment 0.")
    assert reasons[BAD].startswith("sentiment -0.")

    # The filter's process says of the same article the same as the filter in the desk.
    why = command(desk, "why", GOOD.upper(), "--json", SENTIMENT_MODE="absolute")
    assert (why.returncode, why.stderr) == (0, "")
    explained = json.loads(why.stdout)
    assert explained["passed"] is True
    assert explained["reason"] == reasons[GOOD]
    stranger = json.loads(command(desk, "why", STRANGER, "--json").stdout)
    assert (stranger["passed"], stranger["outcome"]) == (False, "ticker-not-listed")

    # The desk's fetcher holds the lease of this source.
    fetch = command(desk, "fetch", "--recording", str(recording))
    assert fetch.returncode == 1
    assert "another" in fetch.stderr
    assert fetch.stderr.count("\n") == 1
    assert desk.errors_logged() == []
