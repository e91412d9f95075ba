"""A consumer process that is killed, stopped or frozen while it has pending messages.

It writes a line when a handler begins and another when it is done, so that a test knows which
messages were being handled when the fault occurred, and how they ended.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from streamdesk.bus import Bus, BusConfig, Message
from streamdesk.contracts.base import Consumer, Event, Topic

ROOT = Path(__file__).resolve().parents[2]
GROUP = "desks"
CLASSES = (0, 50, 100)
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "frames": {"mode": "frame"},
    "classes": {"classes": CLASSES, "class_field": "urgency"},
    "shards": {"shards": 4},
}
"""The ways in which a topic can be laid out."""


class Task(Event):
    """Something to be done."""

    number: int
    account: str = "a"
    urgency: int = 0


def topic_of(kind: str, prefix: str, **options: Any) -> Topic[Task]:
    """A topic of this kind; its key begins with `prefix`, unless it is among the options."""
    key = options.get("key", f"{prefix}:{kind}")
    values: dict[str, Any] = {
        "name": kind,
        "key": key,
        "models": (Task,),
        "about": "What users complained about.",
        "dead_key": f"{key}:dead",
        "key_field": "account",
        "consumers": (Consumer("desk", GROUP),),
    }
    return Topic(**(values | KINDS[kind] | options))


@dataclass(frozen=True, slots=True)
class Orders:
    """The settings of a victim.

    Attributes:
        url: the server's.
        prefix: of the topics' keys.
        book: file to which it writes.
        kinds: the topics it consumes.
        gate: file for which handlers wait,
        holds_from: but only those of tasks with this number or a higher one.
        fatal: number of the task that kills the process; none by default.
        lease_seconds: of its messages and shards; a test ends leases itself.
        max_deliveries: as in `BusConfig`.
        batch: entries taken at once.
        concurrency: concurrent handlers.
    """

    url: str
    prefix: str
    book: str
    kinds: tuple[str, ...]
    gate: str
    holds_from: int = 0
    fatal: int = -1
    lease_seconds: float = 3600.0
    max_deliveries: int = 10
    batch: int = 32
    concurrency: int = 16


@dataclass(frozen=True, slots=True)
class Line:
    """What a victim wrote about one delivery: `begun` or `done`, and on which clock."""

    at_ns: int
    word: str
    kind: str
    number: int
    account: str
    fence: int
    deliveries: int


class Victim:
    """A victim process, controlled by a test."""

    def __init__(self, orders: Orders) -> None:
        """Start it."""
        self._orders = orders
        self._book = Path(orders.book)
        self._book.touch()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.victim", json.dumps(asdict(orders))], cwd=ROOT
        )

    def lines(self, word: str) -> list[Line]:
        """What it wrote so far about handlers that have `begun`, or are `done`."""
        rows = self._book.read_text().split("\n")[:-1]
        lines = [Line(**json.loads(row)) for row in rows]
        return [line for line in lines if line.word == word]

    def open_gate(self) -> None:
        """Open the gate for its handlers."""
        Path(self._orders.gate).touch()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.process.pid, number)

    def end(self) -> None:
        """End it if it still runs, in any state."""
        self.process.kill()
        self.process.wait(30)


async def _consume(orders: Orders) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    book = os.open(orders.book, os.O_WRONLY | os.O_APPEND)

    def note(word: str, message: Message[Task]) -> None:
        line = Line(
            time.monotonic_ns(),
            word,
            message.topic,
            message.event.number,
            message.event.account,
            message.fence,
            message.deliveries,
        )
        # One write for each line: whenever the process dies, the line is complete or missing.
        os.write(book, (json.dumps(asdict(line)) + "\n").encode())

    async def handle(message: Message[Task]) -> None:
        note("begun", message)
        if message.event.number == orders.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        while message.event.number >= orders.holds_from and not os.access(orders.gate, os.F_OK):
            await asyncio.sleep(0.01)
        note("done", message)

    config = BusConfig(
        url=orders.url,
        service="victim",
        lease_seconds=orders.lease_seconds,
        max_deliveries=orders.max_deliveries,
    )
    async with Bus.connect(config) as bus, asyncio.TaskGroup() as group:
        for kind in orders.kinds:
            subscription = bus.subscribe(
                topic_of(kind, orders.prefix),
                GROUP,
                handle,
                batch=orders.batch,
                concurrency=orders.concurrency,
            )
            group.create_task(subscription.run(stop))


if __name__ == "__main__":
    asyncio.run(_consume(Orders(**json.loads(sys.argv[1]))))
