"""A process from its first line to its last: settings, logs, probes, tasks, drain, close."""

import asyncio
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Generic, NoReturn, TypeVar

import uvloop

from streamdesk.runtime import metrics
from streamdesk.runtime.bus_tracer import BusTracer
from streamdesk.runtime.drain import Drain
from streamdesk.runtime.errors import BadSettingError
from streamdesk.runtime.http import listen, serve_http
from streamdesk.runtime.logs import configure_logs, logger, secrets_of
from streamdesk.runtime.observer import BusMetrics
from streamdesk.runtime.probes import Health, probe_app, watch_loop_lag
from streamdesk.runtime.reload import reload_folder, run_and_reload
from streamdesk.runtime.settings import ServiceSettings
from streamdesk.runtime.settings_report import help_text, load
from streamdesk.runtime.tracing import set_up_tracing

log = logger(__name__)
S = TypeVar("S", bound=ServiceSettings)

EXIT_CRASHED = 1
EXIT_BAD_SETTING = 2
CLOSING_SHARE = 0.2  # of the grace period is kept for closing


@dataclass(frozen=True, slots=True)
class ServiceTask:
    """One of the things a service does all the time.

    Args:
        name: for the logs.
        run: takes the drain and returns once it has drained. One that returns before only
            ends itself; the process ends when all have. One that raises ends the process.
    """

    name: str
    run: Callable[[Drain], Awaitable[None]]


class Service:
    """What the process offers to a service's factory.

    Args:
        name: name of the service, as in `topics.py`.
        settings: its settings.
        health: what the probes answer from.
    """

    def __init__(self, name: str, settings: ServiceSettings, health: Health) -> None:
        self.name = name
        self.instance = settings.instance
        self.metrics = metrics
        self._health = health
        self._observer = BusMetrics()

    def ready_when(self, name: str, check: Callable[[], bool]) -> None:
        """Add a check to /readyz.

        Args:
            name: what the page calls it.
            check: quick, without I/O: it runs inside the request.
        """
        self._health.add(name, check)

    def bus_observer(self) -> BusMetrics:
        """The one observer of this process, for `Bus.connect(..., observer=...)`."""
        return self._observer

    def bus_tracer(self) -> BusTracer:
        """Carries the trace across the bus, for `Bus.connect(..., tracer=...)`."""
        return BusTracer()


Build = Callable[[S, Service], AbstractAsyncContextManager[Sequence[ServiceTask]]]


class Process(Generic[S]):
    """One run of a service inside an event loop.

    Args:
        name: name of the service, as in `topics.py`.
        settings: its settings.
    """

    def __init__(self, name: str, settings: S) -> None:
        self.drain = Drain()
        self._settings = settings
        self._health = Health(self.drain)
        self._service = Service(name, settings, self._health)
        self._tasks: list[asyncio.Task[None]] = []
        self._main: asyncio.Task[int] | None = None
        self._interrupts = 0

    async def run(self, build: Build[S], listener: socket.socket) -> int:
        """Serve the probes and run the tasks until they have drained; return the exit code.

        Args:
            build: the service's factory.
            listener: the probes' socket.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        probes_drain = Drain()
        probes = loop.create_task(
            serve_http(probe_app(self._health), listener, probes_drain, websockets="none")
        )
        lag = loop.create_task(watch_loop_lag(probes_drain))
        self._main = loop.create_task(self._live(build, listener.getsockname()[1]))
        await asyncio.wait({self._main})
        probes_drain.request()
        await asyncio.gather(probes, lag)
        return self._exit_code(self._main)

    def _exit_code(self, main: asyncio.Task[int]) -> int:
        if not main.cancelled():
            return main.result()
        if self._health.started:
            log.error("not closed in time", grace_seconds=self._settings.grace_seconds)
            return EXIT_CRASHED
        log.info("stopped before it had started")
        return 0

    async def _live(self, build: Build[S], probe_port: int) -> int:
        name = self._service.name
        info = {"service": name, "version": _version(name), "instance": self._service.instance}
        metrics.PROCESS_INFO.info(info)
        try:
            async with build(self._settings, self._service) as tasks:
                self._health.started = True
                log.info("started", version=info["version"], probe_port=probe_port)
                async with asyncio.TaskGroup() as group:
                    self._tasks = [
                        group.create_task(self._guarded(task), name=task.name) for task in tasks
                    ]
                self._begin_drain()
        except BadSettingError:
            raise
        except Exception:
            log.exception("close failed" if self._health.started else "start failed")
            return EXIT_CRASHED
        if self._health.crashed:
            return EXIT_CRASHED
        log.info("stopped")
        return 0

    async def _guarded(self, task: ServiceTask) -> None:
        try:
            await task.run(self.drain)
        except Exception:
            log.exception("task crashed", task=task.name)
            self._health.crashed = task.name
            self._begin_drain()

    def _on_signal(self, number: signal.Signals) -> None:
        self._interrupts += number == signal.SIGINT
        if self._interrupts > 1:  # a second Ctrl-C: do not wait for the drain
            self._cancel_tasks()
            return
        if not self.drain.requested.is_set():
            log.info("stopping", signal=number.name)
        self._begin_drain()

    def _begin_drain(self) -> None:
        """Not ready any more; tasks drain, then are cancelled, then closing is cancelled."""
        if self.drain.requested.is_set():
            return
        self.drain.request()
        if self._main is None:
            return
        if not self._health.started:
            self._main.cancel()
            return
        loop, grace_seconds = asyncio.get_running_loop(), self._settings.grace_seconds
        loop.call_later(grace_seconds * (1 - CLOSING_SHARE), self._cancel_tasks)
        loop.call_later(grace_seconds, self._main.cancel)

    def _cancel_tasks(self) -> None:
        for task in self._tasks:
            if not task.done():
                log.warning("task cancelled: it did not drain in time", task=task.get_name())
                task.cancel()


def run(name: str, settings_type: type[S], build: Build[S]) -> None:
    """Run a service until it is stopped; the whole of a `__main__.py`.

    Exit codes: 0 drained, 1 a task, the start or the close failed, 2 a bad setting or argument.

    Args:
        name: name of the service, as in `topics.py`.
        settings_type: its settings.
        build: its factory: an async context manager that gives the tasks and closes them.
    """
    arguments = sys.argv[1:]
    if arguments in (["--help"], ["-h"]):
        sys.stdout.write(help_text(name, settings_type) + "\n")
        return
    if arguments:
        _complain(name, f"unknown argument {arguments[0]!r}: expected none, or --help")
    try:
        folder = reload_folder()
        if folder is None:
            code = _run(name, load(settings_type), build)
        else:
            configure_logs(name, load(ServiceSettings))
            code = run_and_reload(folder)
    except BadSettingError as error:
        _complain(name, error)
    if code:
        sys.exit(code)


def _run(name: str, settings: S, build: Build[S]) -> int:
    configure_logs(name, settings)
    listener = listen(settings.metrics_host, settings.metrics_port, "METRICS_PORT")
    close_tracing = set_up_tracing(name, settings.instance, secrets_of(settings))
    try:
        with listener, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(Process(name, settings).run(build, listener))
    finally:
        close_tracing()


def _complain(name: str, problem: object) -> NoReturn:
    sys.stderr.write(f"{name}: {problem}\n")
    sys.exit(EXIT_BAD_SETTING)


def _version(name: str) -> str:
    try:
        return version(f"streamdesk-{name}")
    except PackageNotFoundError:
        return "unknown"
