import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from streamdesk.console.adapters import desk_bus
from streamdesk.console.adapters.processes.guard import Guard
from streamdesk.console.adapters.processes.supervisor import Program, Supervisor
from streamdesk.console.domain.restarts import RestartPolicy
from streamdesk.contracts.base import Topic

Eventually = Callable[[Callable[[], bool]], Awaitable[None]]
Shell = Callable[[str, str], Program]


@pytest.fixture
def eventually() -> Eventually:
    """Waits until something holds; the limit only ends a test that would wait indefinitely."""

    async def wait(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not holds():
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A program that runs a line of shell."""

    def build(name: str, line: str) -> Program:
        return Program(name, ("/bin/sh", "-c", line), tmp_path / f"{name}.log")

    return build


@pytest.fixture
async def guard() -> AsyncIterator[Guard]:
    guard = Guard()
    await guard.start()
    yield guard
    await guard.close()


@pytest.fixture
async def supervisor(guard: Guard) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(guard, policy=RestartPolicy(first_seconds=0.01, cap_seconds=0.05))
    yield supervisor
    await supervisor.stop(list(supervisor.children), 0)


@pytest.fixture
def alive() -> Callable[[int], bool]:
    """Whether a process exists and is not merely waiting to be reaped."""

    def ask(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        stat = Path(f"/proc/{pid}/stat")
        try:
            return stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except FileNotFoundError:
            return not Path("/proc").exists()

    return ask


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> dict[str, Topic[Any]]:
    """All topics, under keys that no other test uses; the command follows the same variables."""
    mine = secrets.token_hex(4)
    for name, topic in desk_bus.topics({}).items():
        variable = "SIGNAL_QUEUE_KEY" if name == "signals" else f"{name.upper()}_KEY"
        monkeypatch.setenv(variable, f"{mine}:{topic.key}")
    return desk_bus.topics()
