import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from streamdesk.console.__main__ import run
from streamdesk.console.adapters.folder import Folder


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a ledger of the test's own, which LEDGER_URL names."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEDGER_URL", url)
    monkeypatch.setenv("PAPER_BROKER_URL", f"sqlite:///{tmp_path / 'paper.db'}")
    return url


def test_a_halt_lasts_until_it_is_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trading", "status"]) == 0
    assert run(["trading", "halt", "--reason", "odd [prices]"]) == 0
    assert run(["trading", "status", "--json"]) == 1
    assert run(["trading", "resume"]) == 0
    assert run(["trading", "status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Trading is open."
    assert lines[1].startswith("Trading is halted since ")
    assert lines[1].endswith(": odd [prices]. Nothing is sent.")
    assert json.loads(lines[2])["reason"] == "odd [prices]"
    assert lines[3:] == ["Trading is open."] * 2


def test_the_desks_own_ledger_is_the_one_in_its_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("LEDGER_URL", "PAPER_BROKER_URL"):
        monkeypatch.delenv(name)
    assert run(["trading", "halt", "--reason", "x"]) == 2
    assert "there is no ledger in" in capsys.readouterr().err
    folder = Folder(Path(".streamdesk"))
    folder.make()
    (folder.ledger / "ledger.db").touch()
    assert run(["trading", "halt", "--reason", "x"]) == 0
    assert run(["trading", "status"]) == 1


def test_a_ledger_that_cannot_be_used_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LEDGER_URL", "mysql://nowhere")
    assert run(["trading", "halt", "--reason", "x"]) == 2
    error = capsys.readouterr().err
    assert "LEDGER_URL" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("resolve", "order none is not contradicted"),
        ("adopt", "there is no open external trade none"),
        ("ignore", "there is no open external trade none"),
    ],
)
def test_only_what_needs_a_person_can_be_settled(
    capsys: pytest.CaptureFixture[str], command: str, says: str
) -> None:
    assert run(["trading", "resume"]) == 0
    assert run(["trading", command, "none"]) == 1
    assert says in capsys.readouterr().err


def test_trading_is_reduced_to_exits_until_it_is_resumed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["trading", "reduce", "--reason", "late"]) == 0
    assert run(["trading", "status"]) == 1
    assert run(["trading", "resume", "--yes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == lines[1]
    assert lines[0].startswith("Trading is reduced to exits since ")
    assert lines[0].endswith(": late. Buy orders are refused, sells and protective exits are sent.")


@pytest.mark.parametrize("command", ["halt", "reduce"])
def test_who_stops_trading_says_why(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for reason in ([], ["--reason", " "]):
        assert run(["trading", command, *reason]) == 2
        assert f"{command} --reason WHY" in capsys.readouterr().err
    assert run(["trading", "status"]) == 0


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 2)])
def test_on_a_terminal_trading_is_halted_only_once_it_is_confirmed(
    tmp_path: Path, answer: str, code: int
) -> None:
    ours, theirs = pty.openpty()
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "streamdesk.console", "trading", "halt", "--reason", "odd"],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
        )
        os.write(ours, answer.encode())
        out, _ = child.communicate(timeout=120)
        assert child.returncode == code, out
    finally:
        os.close(ours)
        os.close(theirs)
    assert run(["trading", "status"]) == (1 if code == 0 else 0)


def test_canceling_and_closing_say_what_there_is_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trading", "resume"]) == 0  # makes the ledger
    capsys.readouterr()
    for command in ("cancel-all", "close-all"):
        assert run(["trading", command, "--yes"]) == 0
        assert "nothing to do" in capsys.readouterr().out
    assert run(["trading", "reduce", "--close-all", "--reason", "late", "--yes"]) == 0
    assert run(["trading", "halt", "--cancel-all", "--reason", "odd", "--yes", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Trading is reduced to exits")
    assert [json.loads(line) for line in lines[2:]][1] == {"ended": True, "items": []}
    assert run(["trading", "close-all", "--yes"]) == 1
    assert "streamdesk trading reduce --reason WHY --close-all" in capsys.readouterr().err


def test_locks_are_shown_and_lifted_by_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trading", "locks"]) == 0
    assert capsys.readouterr().out == "no locks: entries are accepted\n"
    assert run(["trading", "unlock", "7"]) == 1
    assert "there is no lock 7" in capsys.readouterr().err
    assert run(["trading", "unlock"]) == 2
    assert "--all" in capsys.readouterr().err
    assert run(["trading", "unlock", "--all"]) == 0
