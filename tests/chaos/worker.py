"""A consumer process of the chaos: handles jobs, and writes down each one before it returns.

The line is the effect of the handler. An effect without a valid lease would be a duplicate, so the
worker writes "fenced" instead of "handled" when the bus says that the lease is lost: the consumer
that has the message by then must handle it.
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from streamdesk.bus import Bus, Message, Reject
from streamdesk.contracts.base import Topic
from tests.chaos.traffic import GROUP, TOPICS, Job, bus_config, fails_at_first, is_poison

SLOWEST_SECONDS = 0.004
SLOW_EVERY = 499
CONCURRENCY = 4


@dataclass(frozen=True, slots=True)
class Line:
    """What a worker wrote about one delivery.

    Attributes:
        at_ns: on the clock that all processes of a machine share.
        word: `handled` or `fenced`.
    """

    at_ns: int
    word: str
    topic: str
    number: int
    worker: str

    def text(self) -> str:
        """As it stands in the file."""
        return f"{self.at_ns} {self.word} {self.topic} {self.number} {self.worker}\n"

    @classmethod
    def read(cls, text: str) -> "Line":
        """The reverse of `text`."""
        at_ns, word, topic, number, worker = text.split()
        return cls(int(at_ns), word, topic, int(number), worker)


class Worker:
    """Handles every topic until SIGTERM."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        # One write for each line: whenever the process dies, the line is complete or missing.
        self._book = os.open(options.book, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def run(self) -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        config = bus_config(
            self._options.url,
            self._options.name,
            lease_seconds=self._options.lease_seconds,
            socket_timeout_seconds=self._options.socket_timeout_seconds,
        )
        async with Bus.connect(config) as bus, asyncio.TaskGroup() as group:
            for topic in TOPICS:
                group.create_task(self._consume(bus, topic, stop))

    async def _consume(self, bus: Bus, topic: Topic[Job], stop: asyncio.Event) -> None:
        await bus.subscribe(topic, GROUP, self._handle, concurrency=CONCURRENCY).run(stop)

    async def _handle(self, message: Message[Job]) -> None:
        job = message.event
        if is_poison(message.topic, job.number):
            raise Reject("poison")
        if message.attempt == 1 and fails_at_first(message.topic, job.number):
            raise RuntimeError(f"job {job.number} fails at first")
        is_slow = job.number % SLOW_EVERY == 0
        pause = self._options.lease_seconds if is_slow else random.uniform(0, SLOWEST_SECONDS)
        await asyncio.sleep(pause)
        word = "fenced" if message.lease_lost else "handled"
        line = Line(time.monotonic_ns(), word, message.topic, job.number, self._options.name)
        os.write(self._book, line.text().encode())


def step_clock(offset_seconds: float) -> None:
    """Shift the clock of this process."""
    true_ns = time.time_ns
    offset_ns = round(offset_seconds * 1e9)
    time.time_ns = lambda: true_ns() + offset_ns
    time.time = lambda: time.time_ns() / 1e9


def main() -> None:
    """Consume until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--book", type=Path, required=True, help="where to write what was handled")
    parser.add_argument("--lease-seconds", type=float, required=True)
    parser.add_argument("--socket-timeout-seconds", type=float, required=True)
    options = parser.parse_args()
    step_clock(float(os.environ.get("CHAOS_CLOCK_OFFSET_SECONDS", "0")))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Worker(options).run())


if __name__ == "__main__":
    main()
