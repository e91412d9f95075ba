"""Watches the services of a desk: what their logs say, and whether they are ready."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from streamdesk.console.adapters.log_reader import LogReader, last_line
from streamdesk.console.adapters.probe import http_status
from streamdesk.console.adapters.terminal.progress import Progress

SHOWN_ERRORS = 5  # of each service; the rest is in its log
NEWS = ("redis lost", "redis back")
HTTP_OK = 200


@dataclass(slots=True)
class Watched:
    """What is known of one service beside its process.

    Attributes:
        path: its log.
        log: reader of that file.
        port: of its probes, once it has logged it.
        ready: what /readyz said last; None before the first answer.
        announced: it was ready at least once.
        errors: error lines in its log.
    """

    path: Path
    log: LogReader
    port: int | None = None
    ready: bool | None = None
    announced: bool = False
    errors: int = 0


class Watch:
    """All services of a desk.

    Args:
        progress: prints what happens.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._services: dict[str, Watched] = {}

    def follow(self, name: str, log: Path) -> None:
        """Watch a service from now on; call it before the service is started."""
        self._services[name] = Watched(log, LogReader(log))

    def of(self, name: str) -> Watched | None:
        """What is known of a service; None when it is not watched."""
        return self._services.get(name)

    def restarted(self, name: str) -> None:
        """The service's process changed: it logs its port again."""
        watched = self._services.get(name)
        if watched:
            watched.port, watched.ready = None, None

    async def look(self) -> None:
        """Read what is new in the logs, ask which services are ready, and report what matters."""
        self.read_logs()
        asked = [watched for watched in self._services.values() if watched.port is not None]
        answers = await asyncio.gather(*(http_status(w.port or 0, "/readyz") for w in asked))
        for watched, status in zip(asked, answers, strict=True):
            watched.ready = status == HTTP_OK
        for name, watched in self._services.items():
            if watched.ready and not watched.announced:
                watched.announced = True
                self._progress.good(f"{name:<18} ready")

    def read_logs(self) -> None:
        """Read what is new in the logs."""
        for name, watched in self._services.items():
            for line in watched.log.lines():
                if line.text == "started" and "probe_port" in line.fields:
                    watched.port = int(line.fields["probe_port"])
                if line.is_error:
                    watched.errors += 1
                    if watched.errors <= SHOWN_ERRORS:
                        self._progress.problem(f"{name}: {line.text}")
                elif line.fields.get("event") in NEWS:
                    self._progress.problem(f"{name}: {line.text}")

    @property
    def all_announced(self) -> bool:
        """Whether every service was ready at least once."""
        return all(watched.announced for watched in self._services.values())

    @property
    def errors(self) -> int:
        """Error lines in all logs."""
        return sum(watched.errors for watched in self._services.values())

    def report_late(self, after_seconds: float) -> None:
        """Report each service that is not ready yet, with the last line of its log."""
        for name, watched in self._services.items():
            if not watched.announced:
                words = last_line(watched.path)
                self._progress.problem(
                    f"{name} is not ready after {after_seconds:g} s: {words} ({watched.path})"
                )
