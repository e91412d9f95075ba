import json
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
    assert lines[1].endswith(": odd [prices]. Buy orders are refused, sell orders are accepted.")
    assert json.loads(lines[2])["reason"] == "odd [prices]"
    assert lines[3:] == ["Trading is open."] * 2


def test_the_desks_own_ledger_is_the_one_in_its_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("LEDGER_URL", "PAPER_BROKER_URL"):
        monkeypatch.delenv(name)
    assert run(["trading", "halt"]) == 2
    assert "there is no ledger in" in capsys.readouterr().err
    folder = Folder(Path(".streamdesk"))
    folder.make()
    (folder.ledger / "ledger.db").touch()
    assert run(["trading", "halt"]) == 0
    assert run(["trading", "status"]) == 1


def test_a_ledger_that_cannot_be_used_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LEDGER_URL", "mysql://nowhere")
    assert run(["trading", "halt"]) == 2
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
