"""`python -m streamdesk.order_executor inspect` looks, and changes nothing."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

DatabasesOf = Callable[[str], dict[str, str]]


def executor(urls: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streamdesk.order_executor", *words],
        env=os.environ | {name.upper(): url for name, url in urls.items()},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def inspected(urls: dict[str, str]) -> dict[str, Any]:
    result = executor(urls, "inspect")
    assert result.returncode == 0, result.stderr
    report: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    assert report.pop("kind") == "report"
    return report


def test_a_ledger_tells_its_step_and_its_halt(databases_of: DatabasesOf) -> None:
    urls = databases_of("account")
    assert executor(urls, "halt", "--reason", "odd prices").returncode == 0
    report = inspected(urls)
    assert report["error"] == ""
    assert report["step"] == report["newest"]
    assert report["known"] is True
    assert report["reason"] == "odd prices"
    assert report["contradictions"] == report["external_trades"] == []


def test_an_empty_database_stays_empty(postgres_url: str) -> None:
    urls = {"ledger_url": postgres_url, "paper_broker_url": postgres_url}
    for _ in range(2):
        report = inspected(urls)
        assert (report["error"], report["step"]) == ("", None)


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    assert inspected({"ledger_url": f"sqlite:///{file}"})["error"] == f"there is no file {file}"
    assert not file.exists()


def test_tables_of_the_first_version_are_left_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    script = Path(__file__).with_name("before_migrations_ledger.sql").read_text()
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(script)
    before = file.read_bytes()
    report = inspected({"ledger_url": f"sqlite:///{file}"})
    assert (report["error"], report["step"]) == ("", None)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:my-password@127.0.0.1:1/desk",
        "postgresql://me:my-password@no.invalid/executor",
    ],
)
def test_an_unreachable_database_is_reported_without_its_password(url: str) -> None:
    report = inspected({"ledger_url": url})
    assert report["error"]
    assert "my-password" not in json.dumps(report)


def test_a_setting_that_cannot_be_used_is_one_line() -> None:
    result = executor({"ledger_url": "mysql://nowhere"}, "inspect")
    assert result.returncode == 2
    assert "LEDGER_URL" in result.stderr
