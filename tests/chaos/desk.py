"""Publishers that remember what was acknowledged, and the one check of all chaos.

Every acknowledged event is handled, by a holder whose lease was valid, or it is a dead letter
where that is its fate; in order where order is promised; nothing that was never published, or
was refused, is handled; and at the end nothing is left over.
"""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from streamdesk.bus import Bus, BusUnavailableError, QueueFullError
from streamdesk.bus.errors import ServerFullError
from streamdesk.contracts.base import Topic
from tests.chaos.traffic import FRAMES, ORDERED, SINGLES, TOPICS, Job, is_poison
from tests.chaos.worker import Line

PATIENCE_SECONDS = 90  # only ends a wait that hangs
MANY = 25
ACCOUNTS = tuple("abcdefgh")
LIST_AT_MOST = 100
Refusal = (ServerFullError, QueueFullError)


@dataclass(slots=True)
class Acked:
    """One acknowledged event."""

    topic: str
    number: int
    account: str
    began_ns: int


@dataclass(slots=True)
class Books:
    """Published events and their outcomes."""

    acked: dict[int, Acked] = field(default_factory=dict)
    unknown: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    forgiven: dict[int, Acked] = field(default_factory=dict)
    handled: dict[int, Line] = field(default_factory=dict)  # the first time
    times: Counter[int] = field(default_factory=Counter)
    fenced: int = 0
    struck_ns: int = 0

    def add(self, one: Acked) -> None:
        """Record an acknowledgement, unless data was lost since its publish began."""
        (self.forgiven if one.began_ns < self.struck_ns else self.acked)[one.number] = one

    def forgive(self, before_ns: int) -> int:
        """Remove from the records what a fault that loses data may have lost.

        That is all that began before its end and was not handled, dead letters included.

        Returns how many of them had still to be handled.
        """
        self.struck_ns = before_ns
        gone = {
            number: one
            for number, one in self.acked.items()
            if one.began_ns < before_ns
            and (number not in self.handled or is_poison(one.topic, number))
        }
        self.forgiven |= gone
        for number in gone:
            del self.acked[number]
        return sum(not is_poison(one.topic, number) for number, one in gone.items())

    def note(self, line: Line) -> None:
        """Add what a worker wrote."""
        if line.word == "fenced":
            self.fenced += 1
            return
        self.times[line.number] += 1
        first = self.handled.get(line.number, line)
        self.handled[line.number] = min(first, line, key=lambda one: one.at_ns)

    def unhandled(self) -> list[Acked]:
        """Acknowledged events that still have to be handled."""
        return [
            one
            for number, one in self.acked.items()
            if number not in self.handled and not is_poison(one.topic, number)
        ]

    def out_of_order(self) -> list[str]:
        """Events of an account that were handled before an earlier one."""
        latest: dict[str, Line] = {}
        wrong = []
        for number, one in sorted(self.acked.items()):
            if one.topic != ORDERED.name or number not in self.handled:
                continue
            line = self.handled[number]
            before = latest.setdefault(one.account, line)
            if line.at_ns < before.at_ns:
                wrong.append(
                    f"account {one.account}: {number} on {line.worker}, "
                    f"{(before.at_ns - line.at_ns) / 1e6:.1f} ms before {before.number} on "
                    f"{before.worker}"
                )
            latest[one.account] = max(before, line, key=lambda one: one.at_ns)
        return wrong


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result once everything is finished."""

    acked: int
    handled: int
    more_than_once: int
    fenced: int
    dead: int
    unknown: int
    refused: int
    forgiven: int
    lost: tuple[int, ...]
    wrong: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Whether every guarantee held."""
        return not self.lost and not self.wrong

    def __str__(self) -> str:
        counts = (
            f"acked={self.acked} handled={self.handled} handled_more_than_once="
            f"{self.more_than_once} fenced={self.fenced} dead={self.dead} unknown={self.unknown} "
            f"refused={self.refused} forgiven={self.forgiven} lost={len(self.lost)}"
        )
        findings = [f"lost {number}" for number in self.lost] + list(self.wrong)
        return "\n".join([counts, *findings[:LIST_AT_MOST]])


class Desk:
    """Publishes on one bus, and reads the lines of the workers in a folder."""

    def __init__(
        self,
        bus: Bus,
        folder: Path,
        numbers: Iterator[int],
        pause_seconds: float,
        complaints: Callable[[], list[str]],
    ) -> None:
        """Set up.

        Args:
            bus: what to publish with.
            folder: where workers write, one file each.
            numbers: the numbers of the events to come, ascending; never the same for two desks.
            pause_seconds: between two publishes of one publisher.
            complaints: says which workers have ended by themselves, and why.
        """
        self.books = Books()
        self._bus = bus
        self._folder = folder
        self._numbers = numbers
        self._first = next(numbers)
        self._pause_seconds = pause_seconds
        self._complaints = complaints
        self._offsets: dict[Path, int] = {}
        self._stop = asyncio.Event()

    @contextlib.asynccontextmanager
    async def publishing(self) -> AsyncIterator[None]:
        """Publish on every topic until the end of the context."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publish_for_ever(SINGLES, ("",)))
            group.create_task(self._publish_for_ever(FRAMES, ("",) * MANY))
            for account in ACCOUNTS:
                group.create_task(self._publish_for_ever(ORDERED, (account,)))
            try:
                yield
            finally:
                self._stop.set()

    async def _publish_for_ever(self, topic: Topic[Job], accounts: tuple[str, ...]) -> None:
        # The publishers of a topic together keep its pace.
        pause_seconds = self._pause_seconds * (len(ACCOUNTS) if topic is ORDERED else 1)
        while not self._stop.is_set():
            jobs = [Job(number=next(self._numbers), account=account) for account in accounts]
            await self._publish(topic, jobs)
            await asyncio.sleep(pause_seconds)

    async def _publish(self, topic: Topic[Job], jobs: list[Job]) -> None:
        """Publish and record the outcome; a frame is written whole or not at all."""
        numbers = {job.number for job in jobs}
        began_ns = time.monotonic_ns()
        try:
            await self._bus.publish_many(topic, jobs)
        except Refusal:
            self.books.refused |= numbers
        except BusUnavailableError:
            self.books.unknown |= numbers
        else:
            for job in jobs:
                self.books.add(Acked(topic.name, job.number, job.account, began_ns))

    def read(self) -> None:
        """Take over what workers have written since the last time."""
        for path in self._folder.glob("*.book"):
            with path.open("rb") as file:
                file.seek(self._offsets.get(path, 0))
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._offsets[path] = self._offsets.get(path, 0) + len(whole)
            for row in whole.decode().splitlines():
                line = Line.read(row)
                if line.number >= self._first:
                    self.books.note(line)

    async def traffic(self, count: int = 50) -> None:
        """Wait until this many more events are acknowledged, and this many more handled."""
        acked = len(self.books.acked) + count
        handled = len(self.books.handled) + count
        await self.until(
            lambda: len(self.books.acked) >= acked and len(self.books.handled) >= handled
        )

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until the records satisfy a condition.

        Raises:
            TimeoutError: it hangs.
        """
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds():
                complaints = self._complaints()
                assert not complaints, "\n".join(complaints)
                await asyncio.sleep(0.02)
                self.read()

    async def verdict(self) -> Verdict:
        """Wait until everything is finished, and check the records."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while await self._left_over() or self.books.unhandled():
                    if self._complaints():
                        break
                    await asyncio.sleep(0.05)
        dead = await self._dead()
        return _verdict(self.books, dead, [*self._complaints(), *await self._left_over()])

    async def _left_over(self) -> list[str]:
        """The unfinished messages according to the server."""
        lags = [lag for topic in TOPICS for lag in await self._bus.lag(topic)]
        self.read()
        return [
            f"{lag.topic}: {lag.waiting} waiting, {lag.pending} pending, {lag.delayed} delayed"
            for lag in lags
            if lag.waiting or lag.pending or lag.delayed
        ]

    async def _dead(self) -> dict[int, str]:
        """The numbers and reasons of the dead letters."""
        letters = [s.letter for topic in TOPICS for s in await self._bus.dead(topic, 1_000_000)]
        found = {int(json.loads(letter.body)["number"]): letter.reason for letter in letters}
        return {number: reason for number, reason in found.items() if number >= self._first}


def _verdict(books: Books, dead: dict[int, str], left_over: list[str]) -> Verdict:
    doomed = {n for n, one in books.acked.items() if is_poison(one.topic, n)}
    lost = {one.number for one in books.unhandled()} | (doomed - dead.keys())
    known = books.acked.keys() | books.unknown | books.forgiven.keys()
    wrong = [
        *left_over,
        *(f"{n} is dead: {why}" for n, why in dead.items() if why != "poison"),
        *(f"{n} was handled, but never published" for n in sorted(books.handled.keys() - known)),
        *books.out_of_order(),
    ]
    return Verdict(
        acked=len(books.acked),
        handled=len(books.handled.keys() & books.acked.keys()),
        more_than_once=sum(books.times[n] > 1 for n in books.acked),
        fenced=books.fenced,
        dead=len(dead.keys() & doomed),
        unknown=len(books.unknown),
        refused=len(books.refused),
        forgiven=len(books.forgiven),
        lost=tuple(sorted(lost)),
        wrong=tuple(wrong),
    )
