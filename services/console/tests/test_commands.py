import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from streamdesk.console.__main__ import run
from streamdesk.console.entrypoints.cli.app import COMMANDS as COMMANDS_OF_THE_PROGRAM
from streamdesk.console.entrypoints.cli.app import app

COMMANDS = [
    ["up"],
    ["status"],
    ["down"],
    ["queue"],
    ["bus"],
    ["bus", "lag"],
    ["bus", "health"],
    ["bus", "tail"],
    ["bus", "replay"],
    ["bus", "asyncapi"],
    ["bus", "dead"],
    ["bus", "dead", "list"],
    ["bus", "dead", "show"],
    ["bus", "dead", "redrive"],
    ["bus", "dead", "purge"],
    ["job"],
    ["job", "indicators"],
    ["news"],
    ["news", "fetch"],
    ["news", "tail"],
    ["news", "why"],
]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder, and no server named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REDIS_URL", raising=False)
    return tmp_path


@pytest.mark.parametrize("command", [[], *COMMANDS])
def test_every_command_has_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--help"]) == 0
    assert "Usage" in capsys.readouterr().out


def test_the_help_of_the_program_imports_nothing_that_a_command_needs() -> None:
    code = (
        "import sys; from streamdesk.console.__main__ import run; run(['--help']); "
        "heavy = {'rich', 'pydantic', 'httpx', 'streamdesk.bus', 'streamdesk.contracts'}; "
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, timeout=60, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr


@pytest.mark.parametrize("name", app.commands)
def test_the_program_lists_a_command_by_the_first_line_of_its_own_help(name: str) -> None:
    command: Any = app.commands[name]
    assert command.help == command.loaded.help.partition("\n\n")[0]


def test_the_help_of_the_program_cuts_no_line_short(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    for name, about in COMMANDS_OF_THE_PROGRAM.items():
        assert f"{name} {about}" in words


def test_a_run_that_starts_anew_does_not_remove_the_bars_it_is_to_play(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = elsewhere / ".streamdesk" / "bars" / "bars"
    kept.mkdir(parents=True)
    for named in (".streamdesk/bars", str(kept)):
        assert run(["up", "--bars", named]) == 2
        assert "--keep" in capsys.readouterr().err
    assert kept.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["upp"], 2, "No such command 'upp'"),
        (["up", "--executors", "0"], 2, "--executors"),
        (["up", "--port", "70000"], 2, "--port"),
        (["up", "--bars", "none.csv"], 2, "none.csv does not exist"),
        (["queue", "--topic", "nope"], 2, "no topic is called 'nope'"),
        (["queue", "--topic", "tasks"], 2, "it has no queue"),
        (["queue", "--group", "nope"], 2, "it has order-executors"),
        (["queue"], 1, "streamdesk up"),
        (["status"], 1, "streamdesk up"),
        (["down"], 1, "streamdesk up"),
        (["bus", "lag"], 1, "streamdesk up"),
        (["bus", "lag", "--url", "http://x"], 2, "'http'"),
        (["bus", "lag", "--url", "redis://127.0.0.1:1/0"], 1, "does not answer"),
        (["bus", "tail", "--since", "x", "--url", "memory://x"], 2, "since is 'x'"),
        (["bus", "dead", "purge", "--url", "memory://x"], 2, "--all"),
        (["bus", "dead", "show", "1-0", "--url", "memory://x"], 1, "no dead letter has the id 1-0"),
        (["bus", "dead", "redrive", "1-0", "--url", "memory://x"], 1, "1-0"),
        (["job", "indicators"], 2, "`streamdesk job indicators --simulate 5000` tries the job"),
        (["job", "indicators", "--market", "XX"], 2, "'XX' is not one of"),
        (["job", "indicators", "--simulate", "0"], 2, "--simulate"),
        (["up", "--news", "rss"], 2, "'rss' is not one of"),
        (["up", "--news-recording", "no.jsonl"], 2, "no.jsonl does not exist"),
        (["up", "--news", "eodhd", "--news-recording", "sample"], 2, "leave one of them out"),
        (["news", "fetch"], 1, "streamdesk up"),
        (["news", "fetch", "--recording", "no.jsonl", "--url", "redis://x"], 2, "does not exist"),
        (["news", "tail"], 1, "streamdesk up"),
        (["news", "tail", "--url", "redis://127.0.0.1:1/0"], 1, "does not answer"),
        (["news", "tail", "--since", "yesterday", "--url", "memory://x"], 2, "--since is"),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == code
    error = capsys.readouterr().err
    assert error.startswith("streamdesk: ")
    assert error.count("\n") == 1
    assert says in error


def test_called_without_a_command_it_shows_its_help_and_no_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([]) == 2
    captured = capsys.readouterr()
    assert "up" in captured.out + captured.err
    assert "streamdesk: " not in captured.err


def test_redis_url_names_the_server_where_no_option_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", f"memory://{uuid4().hex}")
    assert run(["bus", "lag", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["topic"] for row in rows} >= {"signals", "bars", "news_raw"}


def test_lag_is_a_table_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bus", "lag", "--url", "memory://x", "--topic", "signals"]) == 0
    out = capsys.readouterr().out
    assert "order-executors" in out
    assert "waiting" in out


def test_a_queue_is_shown_once_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["queue", "--once", "--json", "--url", "memory://x"]) == 0
    assert json.loads(capsys.readouterr().out)["pending"] == 0


def test_no_dead_letters_is_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bus", "dead", "--url", "memory://x"]) == 0
    assert "no dead letters" in capsys.readouterr().out
