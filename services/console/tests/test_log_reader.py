from pathlib import Path

import pytest

from streamdesk.console.adapters.log_reader import LogReader, last_line, parse


@pytest.mark.parametrize(
    ("raw", "is_error"),
    [
        ('{"level": "info", "event": "started"}', False),
        ('{"level": "warning", "event": "redis lost"}', False),
        ('{"level": "error", "event": "task crashed"}', True),
        ('{"level": "critical", "event": "gone"}', True),
        ("Traceback (most recent call last):", True),
        ('  File "x.py", line 1', False),
        ('"error"', False),
        ("", False),
    ],
)
def test_a_line_is_an_error_by_its_level_or_as_a_bare_traceback(raw: str, is_error: bool) -> None:
    assert parse(raw).is_error is is_error


def test_a_line_still_being_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    reader = LogReader(path)
    assert list(reader.lines()) == []
    path.write_text('{"event": "one"}\n{"event": "tw')
    assert [line.text for line in reader.lines()] == ["one"]
    with path.open("a") as file:
        file.write('o"}\n')
    assert [line.text for line in reader.lines()] == ["two"]


def test_what_an_earlier_run_logged_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text('{"level": "error", "event": "old"}\n')
    assert list(LogReader(path).lines()) == []


def test_the_last_line_is_the_last_that_is_not_blank(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text('{"event": "task crashed", "error": "no disk"}\n\n')
    assert last_line(path) == "task crashed: no disk"


def test_a_process_without_a_log_has_an_explanation_for_a_last_line(tmp_path: Path) -> None:
    assert last_line(tmp_path / "none.log") == "it wrote no log"
    (tmp_path / "empty.log").touch()
    assert last_line(tmp_path / "empty.log") == "its log is empty"
