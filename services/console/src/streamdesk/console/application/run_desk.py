"""A whole desk on one machine, from the first process to the last."""

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from streamdesk.bus import Bus
from streamdesk.console.adapters.folder import Folder, shown
from streamdesk.console.adapters.log_reader import last_line
from streamdesk.console.adapters.probe import redis_answers
from streamdesk.console.adapters.processes.supervisor import Child, Program, Supervisor
from streamdesk.console.adapters.terminal.progress import Progress
from streamdesk.console.application.count_events import Tally
from streamdesk.console.application.watch_services import Watch
from streamdesk.console.config import (
    SERVER_STOP_SECONDS,
    SERVICES_STOP_SECONDS,
)
from streamdesk.console.domain.counts import Result
from streamdesk.console.domain.state import DeskState, ServiceState
from streamdesk.console.errors import DeskFailedError

SERVER = "redis"
EXIT_BAD_SETTING = 2
POLL_SECONDS = 0.25
SUMMARY_SECONDS = 2.0
SERVER_START_SECONDS = 30.0
READY_SECONDS = 45.0  # then the late services are named; the desk keeps running
COUNT_SECONDS = 5.0
HURRIED_COUNT_SECONDS = 0.5  # a person waits for the end


@dataclass(frozen=True, slots=True)
class RedisProcess:
    """The desk's own Redis server.

    Args:
        program: how it is run.
        port: where it listens, on loopback.
    """

    program: Program
    port: int


@dataclass(frozen=True, slots=True)
class DeskPlan:
    """What a desk consists of.

    Args:
        server: its own Redis server; None where REDIS_URL names one.
        services: in the order of the flow.
        page: address of the page.
        analysis: address of the analysis API.
        redis_url: where the bus is.
        since: from where on the bus is counted.
        seconds: end after so long; None to run until stopped.
        notes: what is said at the start.
    """

    server: RedisProcess | None
    services: Sequence[Program]
    page: str
    analysis: str
    redis_url: str
    since: str
    seconds: float | None
    notes: Sequence[str] = ()


@dataclass(slots=True)
class Stop:
    """A request to end the desk: the first is orderly, the second kills every process."""

    requested: asyncio.Event = field(default_factory=asyncio.Event)
    urgent: asyncio.Event = field(default_factory=asyncio.Event)

    def ask(self) -> None:
        """Request the end of the desk."""
        (self.urgent if self.requested.is_set() else self.requested).set()


class LocalDesk:
    """Runs a plan.

    Args:
        plan: what to run.
        folder: held by the caller.
        supervisor: starts and ends the processes.
        bus: for counting; the caller closes it.
        tally: counts on that bus.
        progress: prints what happens.
    """

    def __init__(
        self,
        plan: DeskPlan,
        folder: Folder,
        supervisor: Supervisor,
        bus: Bus,
        tally: Tally,
        progress: Progress,
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._supervisor = supervisor
        self._bus = bus
        self._tally = tally
        self._progress = progress
        self._watch = Watch(progress)
        self._status: Literal["starting", "up", "stopping"] = "starting"
        self._started_at = time.time()
        self._dead_before = 0
        self._fatal: DeskFailedError | None = None
        self._written: DeskState | None = None

    async def run(self, stop: Stop) -> Result:
        """Bring everything up, watch it until it should end, and end it.

        Raises:
            DeskFailedError: a part cannot run at all; everything has ended again.
        """
        tasks = [asyncio.create_task(self._kill_when_urgent(stop))]
        try:
            await self._start_server(stop)
            self._dead_before = await self._tally.dead()
            tasks.append(asyncio.create_task(self._tally.run(self._plan.since)))
            tasks.append(asyncio.create_task(self._show_figures()))
            for note in self._plan.notes:
                self._progress.say(note)
            for program in self._plan.services:
                self._watch.follow(program.name, program.log)
                await self._supervisor.start(program)
            await self._until_the_end(stop)
        finally:
            result = await self._end(hurried=stop.requested.is_set())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._fatal:
            raise self._fatal
        return result

    async def _start_server(self, stop: Stop) -> None:
        server = self._plan.server
        if server is None:
            if not await self._bus.ping():
                raise DeskFailedError(
                    "nothing answers at REDIS_URL; start that server, or unset REDIS_URL "
                    "and the desk brings its own"
                )
            return
        child = await self._supervisor.start(server.program)
        self._write_state()
        deadline = time.monotonic() + SERVER_START_SECONDS
        while not await redis_answers(server.port):
            if child.exits or time.monotonic() > deadline:
                words = last_line(server.program.log)
                raise DeskFailedError(f"the Redis server does not start: {words}")
            if stop.requested.is_set():
                return
            await asyncio.sleep(POLL_SECONDS / 5)
        self._progress.good(f"{SERVER:<18} ready on port {server.port}")

    async def _until_the_end(self, stop: Stop) -> None:
        """Watch logs, readiness and state until a stop is requested or the time is over."""
        begun = time.monotonic()
        late_reported = False
        while not stop.requested.is_set() and not self._fatal:
            ran = time.monotonic() - begun
            if self._plan.seconds is not None and ran >= self._plan.seconds:
                self._progress.say(f"{self._plan.seconds:g} s are over")
                return
            await self._watch.look()
            # "up" is final: a service that restarts later does not make the desk start again.
            if self._status == "starting" and self._watch.all_announced:
                self._status = "up"
                self._progress.say(
                    f"The desk is up after {ran:.1f} s. Page: {self._plan.page}   "
                    f"Analysis: {self._plan.analysis}\n"
                    f"Logs: {shown(self._folder.logs)}   Queue: streamdesk queue   End: Ctrl-C"
                )
            if self._status == "starting" and not late_reported and ran > READY_SECONDS:
                late_reported = True  # once: the reader has the logs from here on
                self._watch.report_late(READY_SECONDS)
            self._write_state()
            # The pause between two looks, cut short by a request to stop.
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await stop.requested.wait()

    async def _show_figures(self) -> None:
        """Runs as a task of its own: an unreachable bus must not delay the end."""
        begun = time.monotonic()
        while True:
            await asyncio.sleep(SUMMARY_SECONDS)
            waiting = await self._tally.waiting()
            if self._status == "stopping":
                return
            minutes, seconds = divmod(int(time.monotonic() - begun), 60)
            figures = self._tally.counts.summary(waiting)
            self._progress.live(f"{minutes:02}:{seconds:02}  {figures}")

    async def changed(self, child: Child) -> None:
        """Take note of a child's new state."""
        self._watch.restarted(child.name)
        watched = self._watch.of(child.name)
        if child.state == "waiting":
            code, words = child.exits[-1], last_line(child.program.log)
            # A bad setting does not get better by a restart. Once a service was ready, though, its
            # settings were good, and the same exit code means something else.
            if code == EXIT_BAD_SETTING and watched and not watched.announced:
                self._fatal = DeskFailedError(words)
            else:
                self._progress.problem(
                    f"{child.name} ended unexpectedly ({_named(code)}) and is started again; "
                    f"last line of its log: {words}"
                )
        self._write_state()

    async def _end(self, *, hurried: bool) -> Result:
        self._status = "stopping"
        self._progress.live("ending …")
        self._write_state()
        begun = time.monotonic()
        names = [program.name for program in reversed(self._plan.services)]
        killed = await self._supervisor.stop(names, SERVICES_STOP_SECONDS)
        dead = await self._count_the_rest(HURRIED_COUNT_SECONDS if hurried else COUNT_SECONDS)
        killed += await self._supervisor.stop([SERVER], SERVER_STOP_SECONDS)
        self._watch.read_logs()
        self._folder.forget()
        self._progress.close()
        for name in killed:
            self._progress.problem(f"{name} did not end in time and was killed")
        seconds = time.monotonic() - begun
        self._progress.say(
            f"Every process has ended, in {seconds:.1f} s. Logs: {shown(self._folder.logs)}"
        )
        errors = self._watch.errors + self._supervisor.unexpected_exits + len(killed)
        return self._tally.counts.result(dead=dead, errors=errors)

    async def _count_the_rest(self, within_seconds: float) -> int:
        """Count what the ended services had written; returns the run's dead letters."""
        try:
            async with asyncio.timeout(within_seconds):
                await self._tally.finish()
                return max(0, await self._tally.dead() - self._dead_before)
        except TimeoutError:  # no server, or too many events for the time left
            return 0

    async def _kill_when_urgent(self, stop: Stop) -> None:
        await stop.urgent.wait()
        self._progress.problem("killing every process")
        self._supervisor.kill_all()

    def _write_state(self) -> None:
        state = DeskState(
            pid=os.getpid(),
            status=self._status,
            started_at=self._started_at,
            page=self._plan.page,
            analysis=self._plan.analysis,
            redis_url=self._plan.redis_url,
            services=tuple(map(self._state_of, self._supervisor.children.values())),
        )
        if state != self._written:
            self._folder.write(state)
            self._written = state

    def _state_of(self, child: Child) -> ServiceState:
        watched = self._watch.of(child.name)
        server = self._plan.server
        return ServiceState(
            name=child.name,
            pid=child.pid,
            state=child.state,
            since=child.since,
            ready=watched.ready if watched else None,
            restarts=child.restarts,
            port=watched.port if watched else (server.port if server else None),
            log=str(child.program.log),
        )


def _named(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
