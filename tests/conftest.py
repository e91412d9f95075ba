"""A whole desk as a user has it: `streamdesk up` as a process, in a folder of its own."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

LONGEST_WAIT_SECONDS = 120  # only ends a test that hangs
ENDED = re.compile(r"Every process has ended, in ([0-9.]+) s")
COUNTED_LEVELS = ("error", "critical")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_alive(pid: int) -> bool:
    """Whether a process exists and is not merely waiting to be reaped."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return not Path("/proc/self").exists()


@dataclass
class Up:
    """One `streamdesk up`."""

    folder: Path
    process: subprocess.Popen[bytes]
    out: Path
    port: int
    seen_pids: set[int] = field(default_factory=set)

    def state(self) -> dict[str, Any]:
        """What `up` says about itself; empty before it says anything, and after it has ended."""
        try:
            state: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        except FileNotFoundError:
            return {}
        self.seen_pids |= {service["pid"] for service in state["services"] if service["pid"]}
        return state

    def pids(self) -> dict[str, int]:
        """Process ids by name, the Redis server's among them."""
        return {service["name"]: service["pid"] for service in self.state()["services"]}

    def wait_for(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until something holds; fails at once when the desk has ended."""
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while not holds():
            assert self.process.poll() is None, f"the desk ended; {self.output()}"
            assert time.monotonic() < deadline, f"{what} did not happen; {self.output()}"
            time.sleep(0.05)

    def wait_until_up(self) -> None:
        self.wait_for(lambda: self.state().get("status") == "up", "the desk is up")

    def interrupt(self) -> float:
        """Ctrl-C at the terminal: SIGINT to the whole foreground group.

        Returns the seconds that `up` says it took until every process had ended.
        """
        self.state()
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(LONGEST_WAIT_SECONDS)
        found = ENDED.search(self.output())
        assert found, self.output()
        return float(found[1])

    def left_over(self) -> set[int]:
        """Processes of the desk that are still there."""
        return {pid for pid in self.seen_pids if is_alive(pid)}

    def output(self) -> str:
        """What `up` printed."""
        return self.out.read_text()

    def log(self, name: str) -> list[dict[str, Any]]:
        """What a service logged; a line that is no JSON becomes an error of its own."""
        lines = (self.folder / "logs" / f"{name}.log").read_text().splitlines()
        return [_parsed(line) for line in lines if line.strip()]

    def services(self) -> list[str]:
        """Names of all services that have a log, without the Redis server."""
        names = sorted(path.stem for path in (self.folder / "logs").glob("*.log"))
        return [name for name in names if name != "redis"]

    def errors_logged(self) -> list[dict[str, Any]]:
        """Every error line of every service."""
        return [
            line
            for name in self.services()
            for line in self.log(name)
            if line["level"] in COUNTED_LEVELS
        ]


def _parsed(line: str) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(line)
    except ValueError:
        return {"level": "error", "event": f"not JSON: {line}"}
    return value


@pytest.fixture
def alive() -> Callable[[int], bool]:
    return is_alive


@pytest.fixture
def any_port() -> int:
    return free_port()


@pytest.fixture
def another_port() -> int:
    return free_port()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Starts desks; ends them with the test."""
    started: list[Up] = []

    def start(*options: str, redis_url: str = "", **variables: str) -> Up:
        folder, out = tmp_path / f"desk-{len(started)}", tmp_path / f"out-{len(started)}.txt"
        port = free_port()
        with out.open("wb") as file:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "streamdesk.console", "up", "--data", str(folder)),
                    *("--port", str(port), *options),
                ],
                cwd=tmp_path,
                # A port of its own: desks that start at once would find the same one free.
                env={
                    **os.environ,
                    "REDIS_URL": redis_url,
                    "ANALYSIS_PORT": str(free_port()),
                    **variables,
                },
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        started.append(Up(folder, process, out, port))
        return started[-1]

    yield start
    for desk in started:
        if desk.process.poll() is None:
            desk.process.terminate()
            desk.process.wait(LONGEST_WAIT_SECONDS)
