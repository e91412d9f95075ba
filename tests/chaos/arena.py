"""The chaos arena: a server, a network in front of it, and consumers as processes."""

import asyncio
import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamdesk.bus import Bus, BusConfig
from tests.chaos.desk import Desk
from tests.chaos.traffic import bus_config
from tests.proxy import Proxy
from tests.servers import StreamServer

ROOT = Path(__file__).resolve().parents[2]
# Every write reaches the disk before it is acknowledged, so what a kill loses is predictable.
DURABLE = ("--appendfsync", "always")


@dataclass(frozen=True, slots=True)
class Pace:
    """Durations of a round.

    Attributes:
        socket_timeout_seconds: of every process.
        lease_seconds: of every consumer.
        freeze_seconds: how long a server stays frozen; longer than the socket time-out.
        trouble_seconds: how long the network stays bad.
        pause_seconds: between two publishes of one publisher.
    """

    socket_timeout_seconds: float
    lease_seconds: float
    freeze_seconds: float
    trouble_seconds: float
    pause_seconds: float


SHORT = Pace(0.4, 0.6, 0.8, 0.6, 0.01)
LONG = Pace(2.0, 3.0, 20.0, 5.0, 0.03)


def _unmeasured() -> dict[str, str]:
    """Our environment without coverage: its data is broken when its process is killed."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}


class Consumer:
    """One consumer process."""

    def __init__(self, name: str, url: str, folder: Path, pace: Pace, clock_offset: float) -> None:
        self.name = name
        self._errors = folder / f"{name}.err"
        self._was_ended = False
        words = {
            "--url": url,
            "--name": name,
            "--book": str(folder / f"{name}.book"),
            "--lease-seconds": str(pace.lease_seconds),
            "--socket-timeout-seconds": str(pace.socket_timeout_seconds),
        }
        with self._errors.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.worker", *itertools.chain(*words.items())],
                cwd=ROOT,
                env={**_unmeasured(), "CHAOS_CLOCK_OFFSET_SECONDS": str(clock_offset)},
                stderr=file,
            )

    def complaint(self) -> str:
        """Why it ended unexpectedly; empty if it did not."""
        if self._was_ended or self._process.poll() is None:
            return ""
        errors = self._errors.read_text()[-2000:]
        return f"{self.name} ended by itself with {self._process.returncode}: {errors}"

    def kill(self) -> None:
        """SIGKILL."""
        self._was_ended = True
        self._process.kill()
        self._process.wait(30)

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        self._was_ended = True
        self._process.terminate()
        self._process.wait(30)

    def freeze(self) -> None:
        """Stop it with SIGSTOP; its pending messages stay."""
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume it, if it still exists."""
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGCONT)


class Arena:
    """Everything that can be broken, and the desk that keeps publishing."""

    def __init__(
        self, server: StreamServer, proxy: Proxy, folder: Path, pace: Pace, chance: random.Random
    ) -> None:
        """Made by `open_arena`."""
        self.server = server
        self.proxy = proxy
        self.pace = pace
        self.chance = chance
        self.consumers: list[Consumer] = []
        self._folder = folder
        self._names = (f"worker-{number}" for number in itertools.count(1))
        self._numbers = itertools.count(1)
        self.bus = Bus.connect(self._config("desk"))
        self.desk = self.new_desk()

    def _config(self, name: str) -> BusConfig:
        return bus_config(
            self.proxy.url,
            name,
            lease_seconds=self.pace.lease_seconds,
            socket_timeout_seconds=self.pace.socket_timeout_seconds,
        )

    def new_desk(self) -> Desk:
        """Start new records."""
        self.desk = Desk(
            self.bus, self._folder, self._numbers, self.pace.pause_seconds, self.complaints
        )
        return self.desk

    def add_consumer(self, clock_offset: float = 0) -> None:
        """Start one more."""
        consumer = Consumer(
            next(self._names), self.proxy.url, self._folder, self.pace, clock_offset
        )
        self.consumers.append(consumer)

    def remove_one(self) -> Consumer:
        """Remove a consumer from the arena and return it."""
        return self.consumers.pop(self.chance.randrange(len(self.consumers)))

    async def ask(self, *words: str | int) -> Any:
        """One command to the server, past the proxy."""
        return await asyncio.to_thread(self.server.ask, *words)

    def complaints(self) -> list[str]:
        """The output of the processes that ended unexpectedly."""
        return [text for one in self.consumers if (text := one.complaint())]


@contextlib.asynccontextmanager
async def open_arena(
    binary: str, folder: Path, *, pace: Pace, consumers: int, chance: random.Random
) -> AsyncIterator[Arena]:
    """An arena with this number of consumers; everything in it ends with the context."""
    data, books = folder / "data", folder / "books"
    data.mkdir()
    books.mkdir()
    server = await asyncio.to_thread(StreamServer, binary, data, *DURABLE)
    try:
        async with Proxy(server.port) as proxy:
            arena = Arena(server, proxy, books, pace, chance)
            try:
                for _ in range(consumers):
                    arena.add_consumer()
                async with arena.bus:
                    yield arena
            finally:
                for consumer in arena.consumers:
                    consumer.kill()
    finally:
        await asyncio.to_thread(server.stop)
