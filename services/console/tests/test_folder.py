import os
from pathlib import Path

import pytest

from streamdesk.console.adapters.folder import Folder
from streamdesk.console.domain.state import DeskState, ServiceState
from streamdesk.console.errors import DeskRunningError, NoDeskError, UsageError

STATE = DeskState(
    pid=4711,
    status="up",
    started_at=0.0,
    page="http://localhost:8080",
    analysis="http://localhost:5000/api/gainer-analysis",
    redis_url="redis://127.0.0.1:7000/0",
    services=(
        ServiceState(
            name="redis",
            pid=4712,
            state="running",
            since=0.0,
            ready=None,
            restarts=0,
            port=7000,
            log="redis.log",
        ),
    ),
)


def test_a_second_desk_in_the_same_folder_is_refused_and_the_first_named(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with folder.held():
        folder.write(STATE)
        with pytest.raises(DeskRunningError, match=r"process 4711, page http://localhost:8080"):
            Folder(tmp_path).held().__enter__()
        assert folder.running() == STATE


def test_a_folder_is_free_again_when_its_holder_is_gone(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with folder.held():
        assert folder.is_held()
    assert not folder.is_held()


def test_a_process_that_inherits_the_lock_holds_the_folder_until_it_ends(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with folder.held() as lock:
        inherited = os.dup(lock)
    assert folder.is_held()
    os.close(inherited)
    assert not folder.is_held()


def test_a_state_that_a_killed_desk_left_behind_is_no_running_desk(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with folder.held():
        folder.write(STATE)
    with pytest.raises(NoDeskError, match="streamdesk up"):
        folder.running()


def test_wiping_deletes_what_desks_made_and_nothing_else(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with folder.held():
        folder.write(STATE)
        folder.log("redis").write_text("old")
        mine = tmp_path / "notes.txt"
        mine.write_text("keep me")
        folder.wipe()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "notes.txt"]


def test_only_the_owner_may_read_the_state_because_it_names_the_server(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write(STATE)
    assert (tmp_path / "state.json").stat().st_mode & 0o077 == 0


def test_a_broken_state_is_none_at_all(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    assert Folder(tmp_path).read() is None


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--data"):
        Folder(tmp_path / "file" / "desk").make()
