"""Keeps processes running, and ends them.

Every process gets a session of its own, so that Ctrl-C at the terminal reaches the supervisor
alone and the end is orderly; and every process is on the watchdog's list before its program
runs, so that none is left when the supervisor itself is killed.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from streamdesk.console.adapters.processes.guard import Guard
from streamdesk.console.adapters.processes.watchdog import signal_group
from streamdesk.console.domain.restarts import RestartPolicy

# The shell waits for one line, then becomes the program under the same process id. If the
# supervisor dies before it has put the id on the watchdog's list, the shell reads the end of the
# pipe instead and the program never starts.
GATE = 'read -r _ && exec "$@" </dev/null'

KILL_AGAIN_SECONDS = 0.2

State = Literal["running", "waiting", "stopped"]


@dataclass(frozen=True, slots=True)
class Program:
    """What to run.

    Args:
        name: unique among the supervisor's processes.
        command: program and arguments.
        log: file that gets its output, appended.
        environment: variables on top of this process's own.
    """

    name: str
    command: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Child:
    """A program and the process that runs it now.

    Attributes:
        program: what runs.
        pid: its process id, None while it does not run.
        state: `waiting` is between a death and the restart.
        since: when the state began, seconds of the wall clock.
        restarts: how often it was started again.
        exits: exit codes of its unexpected ends; a signal is a negative number.
    """

    program: Program
    pid: int | None = None
    state: State = "stopped"
    since: float = field(default_factory=time.time)
    restarts: int = 0
    exits: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The program's name."""
        return self.program.name


async def _nothing(_child: Child) -> None:
    """Ignore the change."""


class Supervisor:
    """Starts programs, starts them again when they die, ends them.

    Args:
        guard: the watchdog, started.
        policy: waits before a restart.
        changed: awaited after every change of a child's state.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        policy: RestartPolicy | None = None,
        changed: Callable[[Child], Awaitable[None]] = _nothing,
    ) -> None:
        self.children: dict[str, Child] = {}
        self._guard = guard
        self._policy = policy or RestartPolicy()
        self.changed = changed
        self._stops: dict[str, asyncio.Event] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}

    async def start(self, program: Program) -> Child:
        """Start a program and keep it running; returns when its process exists.

        Raises:
            OSError: the log cannot be written.
        """
        child = Child(program)
        self.children[child.name] = child
        self._stops[child.name] = asyncio.Event()
        process = await self._spawn(child)
        self._keepers[child.name] = asyncio.create_task(
            self._keep(child, process), name=f"keep {child.name}"
        )
        return child

    async def stop(self, names: Iterable[str], deadline_seconds: float) -> list[str]:
        """End processes together: SIGTERM in the given order, SIGKILL after the deadline.

        Returns:
            The names of those that had to be killed.
        """
        # A name without a keeper was never started, or was stopped before.
        wanted = [self.children[name] for name in names if name in self._keepers]
        for child in wanted:
            # First the event: a keeper that sees the exit must not start the program again.
            self._stops[child.name].set()
            self._signal(child, signal.SIGTERM)
            self._signal(child, signal.SIGCONT)  # a stopped process would never see the SIGTERM
        keepers = {self._keepers.pop(child.name): child for child in wanted}
        if not keepers:
            return []
        _, late = await asyncio.wait(keepers, timeout=deadline_seconds)
        pending = late
        # Repeatedly: a child that was being started had no process to kill the first time.
        while pending:
            for keeper in pending:
                self._signal(keepers[keeper], signal.SIGKILL)
            _, pending = await asyncio.wait(pending, timeout=KILL_AGAIN_SECONDS)
        for child in wanted:
            child.state, child.pid = "stopped", None
        return sorted(keepers[keeper].name for keeper in late)

    def kill_all(self) -> None:
        """SIGKILL to everything at once."""
        for child in self.children.values():
            self._stops[child.name].set()
            self._signal(child, signal.SIGKILL)

    @property
    def unexpected_exits(self) -> int:
        """Unexpected ends, over all children."""
        return sum(len(child.exits) for child in self.children.values())

    async def _keep(self, child: Child, process: asyncio.subprocess.Process) -> None:
        stop, failures = self._stops[child.name], 0
        while True:
            started = time.monotonic()
            code = await process.wait()
            # What it started itself ends with it.
            signal_group(process.pid, signal.SIGKILL)
            await self._guard.remove(process.pid)
            if not stop.is_set():
                failures = self._policy.failures(failures, time.monotonic() - started)
                child.exits.append(code)
                await self._enter(child, "waiting", None)
                await _happens(stop, self._policy.wait_seconds(failures))
            if stop.is_set():
                return
            process = await self._spawn(child)
            child.restarts += 1

    async def _spawn(self, child: Child) -> asyncio.subprocess.Process:
        program = child.program
        program.log.parent.mkdir(parents=True, exist_ok=True)
        with program.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *_gated(program.command),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, **program.environment},
                start_new_session=True,
            )
        await self._guard.add(process.pid)
        if process.stdin:
            with contextlib.suppress(OSError):  # killed already: wait() returns its exit code
                process.stdin.write(b"go\n")
                await process.stdin.drain()
                process.stdin.close()
                await process.stdin.wait_closed()
        await self._enter(child, "running", process.pid)
        if self._stops[child.name].is_set():  # stop() came while it was being started
            self._signal(child, signal.SIGTERM)
        return process

    async def _enter(self, child: Child, state: State, pid: int | None) -> None:
        child.state, child.pid, child.since = state, pid, time.time()
        await self.changed(child)

    @staticmethod
    def _signal(child: Child, number: signal.Signals) -> None:
        if child.pid is not None:
            signal_group(child.pid, number)


def _gated(command: Sequence[str]) -> tuple[str, ...]:
    return ("/bin/sh", "-c", GATE, "sh", *command)


async def _happens(event: asyncio.Event, within_seconds: float) -> bool:
    try:
        async with asyncio.timeout(within_seconds):
            return await event.wait()
    except TimeoutError:
        return False
