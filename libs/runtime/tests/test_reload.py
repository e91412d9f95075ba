import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamdesk.runtime import BadSettingError
from streamdesk.runtime.reload import changes, seed, snapshot

Start = Callable[..., Any]
# The service says what a module in the folder says: the module is changed while it runs.
SERVICE = """
@asynccontextmanager
async def build(settings, service):
    from streamdesk.runtime.spoken import WORD
    log.info("spoken", word=WORD)
    yield [ServiceTask("idle", wait)]
    log.info("closed")
"""
SPOKEN = "streamdesk/runtime/spoken.py"


def folder_that_says(folder: Path, word: str) -> Path:
    seed(folder)
    (folder / SPOKEN).write_text(f"WORD = {word!r}\n")
    return folder


def test_a_saved_source_is_what_the_service_runs_next(start: Start, tmp_path: Path) -> None:
    folder = folder_that_says(tmp_path / "sources", "before")
    service = start(SERVICE, DEV_RELOAD_FOLDER=str(folder))
    assert service.line("spoken")["word"] == "before"
    service.line("started")
    (folder / SPOKEN).write_text("WORD = 'after'\n")
    assert service.line("sources changed")["files"] == [SPOKEN]
    service.line("closed")  # it drained, as in production
    assert service.line("spoken")["word"] == "after"


def test_a_source_with_an_error_is_waited_out_and_its_correction_runs(
    start: Start, tmp_path: Path
) -> None:
    folder = folder_that_says(tmp_path / "sources", "before")
    service = start(SERVICE, DEV_RELOAD_FOLDER=str(folder))
    service.line("started")
    (folder / SPOKEN).write_text("WORD = \n")
    assert "SyntaxError" in service.line("start failed")["exception"]
    (folder / SPOKEN).write_text("WORD = 'corrected'\n")
    assert service.line("spoken")["word"] == "corrected"


def test_a_service_that_ended_by_itself_is_started_again_without_a_change(
    start: Start, tmp_path: Path
) -> None:
    folder = folder_that_says(tmp_path / "sources", "hello")
    service = start(
        """
        @asynccontextmanager
        async def build(settings, service):
            if not Path("release").exists():
                raise ConnectionError("no database yet")
            yield [ServiceTask("idle", wait)]
        """,
        DEV_RELOAD_FOLDER=str(folder),
    )
    service.line("start failed")
    service.release()
    service.line("started")


def test_sigterm_drains_the_service_and_ends_the_reloader_with_its_code(
    start: Start, tmp_path: Path
) -> None:
    folder = folder_that_says(tmp_path / "sources", "hello")
    service = start(SERVICE, DEV_RELOAD_FOLDER=str(folder))
    service.line("started")
    service.process.send_signal(signal.SIGTERM)
    lines, complaint = service.end()
    assert [line["event"] for line in lines] == ["stopping", "closed", "stopped"]
    assert (service.process.returncode, complaint) == (0, "")


def test_a_folder_that_cannot_be_written_is_a_bad_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadSettingError, match=r"DEV_RELOAD_FOLDER=.*can be written"):
        seed(tmp_path / "file" / "sources")


def test_a_folder_that_was_seeded_before_keeps_what_was_changed(tmp_path: Path) -> None:
    folder = folder_that_says(tmp_path, "mine")
    (folder / "streamdesk/runtime/drain.py").write_text("changed\n")
    seed(folder)
    assert (folder / "streamdesk/runtime/drain.py").read_text() == "changed\n"
    assert (folder / "streamdesk/contracts/topics.py").exists()


def test_a_file_that_came_went_or_changed_is_a_change_and_compiled_ones_are_not(
    tmp_path: Path,
) -> None:
    for name in ("kept.py", "gone.py", "changed.py"):
        (tmp_path / name).write_text("1\n")
    before = snapshot(tmp_path)
    (tmp_path / "gone.py").unlink()
    (tmp_path / "new.lua").write_text("1\n")
    os.utime(tmp_path / "changed.py", (time.time() + 5, time.time() + 5))
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "kept.pyc").write_text("1\n")
    found = [Path(path).name for path in changes(before, snapshot(tmp_path))]
    assert found == ["changed.py", "gone.py", "new.lua"]
