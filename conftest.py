"""Fixtures that every member's tests share: real servers, started in milliseconds."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamdesk.console.errors import NoServerError
from streamdesk.console.redis_server import find_server


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class StreamServer:
    """A Redis or Valkey server of our own on loopback, to be stopped, frozen and filled."""

    def __init__(self, binary: str, folder: Path) -> None:
        """Start it and wait until it listens."""
        self._binary = binary
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self, *options: str) -> None:
        """Start on the same port and data."""
        folder = str(self._folder)
        self._process = subprocess.Popen(
            [
                self._binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", folder,
                "--save", "", "--appendonly", "yes", "--appendfsync", "everysec",
                "--maxmemory-policy", "noeviction", *options,
            ],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 30
        while not self._listens():
            assert self._process.poll() is None, f"{self._binary} ended at once"
            assert time.monotonic() < deadline, f"{self._binary} does not listen"
            time.sleep(0.01)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", self.port)):
                return False
            probe.sendall(b"PING\r\n")
            return probe.recv(16).startswith(b"+PONG")

    def stop(self) -> None:
        """Shut down in order: all that was acknowledged is on disk."""
        self.thaw()
        self._process.terminate()
        self._process.wait(30)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait(30)

    def freeze(self) -> None:
        """Let it hang: connections stay open, nothing answers."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGCONT)


def server_program(folder: Path, name: str | None) -> str:
    """The server that `streamdesk up` would start, or the one of this name on the PATH."""
    if name is not None:
        path = shutil.which(name)
        return path or pytest.skip(f"no {name} on the PATH")
    try:
        return str(find_server(folder))
    except NoServerError as error:
        if "REDIS_URL" in os.environ:
            pytest.skip(f"a server to be stopped and frozen is needed: {error}")
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., StreamServer]]:
    """Starts servers; ends them with the session. `binary` names one on the PATH."""
    started: list[StreamServer] = []

    def start(binary: str | None = None) -> StreamServer:
        folder = tmp_path_factory.mktemp("server")
        server = StreamServer(server_program(folder, binary), folder)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def valkey_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a server that all tests of a worker share: use keys of your own."""
    try:
        find_server(tmp_path_factory.mktemp("server"))
    except NoServerError:
        if "REDIS_URL" in os.environ:
            return os.environ["REDIS_URL"]
    start: Callable[[], StreamServer] = request.getfixturevalue("start_server")
    return start().url


@pytest.fixture(scope="session")
def redis_url(start_server: Callable[..., StreamServer]) -> str:
    """The same with Debian's Redis, the oldest that is supported."""
    return start_server("redis-server").url
