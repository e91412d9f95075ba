"""Shared by the peers' programs.

They run in environments of their own, which have pydantic and the peer, but nothing of ours.
Every program publishes all rounds first and then consumes them all in one go: the start of its
worker falls into no round but the first, at most. Ours starts anew in each.
"""

import gc
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version

from pydantic import BaseModel, ConfigDict

CALL = 500
"""Events of one batch or pipeline, as in our own rows."""

FIRST_NUMBER = 10**9
QUEUE = "bench"


class Tick(BaseModel):
    """The same event as ours, byte by byte."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    number: int
    symbol: str = "AAPL.US"
    price: float = 271.75
    note: str = "x" * 135


@dataclass
class Plan:
    """The rounds to run, from the command line, and their results."""

    url: str
    count: int
    rounds: int
    published: list[float] = field(default_factory=list)
    consumed: list[float] = field(default_factory=list)
    handled: int = 0
    total: int = 0
    on_end: Callable[[], object] = lambda: None
    _since: float = 0.0

    @classmethod
    def read(cls) -> "Plan":
        """`URL COUNT ROUNDS`."""
        url, count, rounds = sys.argv[1:]
        return cls(url, int(count), int(rounds))

    def ticks(self) -> list[Tick]:
        """The events of one round, made before the clock runs."""
        made = [Tick(number=FIRST_NUMBER + place) for place in range(self.count)]
        gc.collect()
        gc.freeze()
        return made

    @contextmanager
    def publishing(self) -> Iterator[None]:
        """One round of publishing."""
        started = time.perf_counter()
        yield
        self.published.append(self.count / (time.perf_counter() - started))

    def start_clock(self) -> None:
        """The first round of consuming begins; without this call, with the first event."""
        self._since = time.perf_counter()

    def handle(self, events: int, numbers: int) -> None:
        """Count events whose handler has begun, with the sum of their numbers."""
        if not self._since:
            self.start_clock()
        self.handled += events
        self.total += numbers
        if self.handled % self.count == 0:
            now = time.perf_counter()
            self.consumed.append(self.count / (now - self._since))
            self._since = now
        if self.handled == self.count * self.rounds:
            self.on_end()

    def report(self, package: str, left: int) -> None:
        """Print the result as one line of JSON.

        Args:
            package: the peer's package, whose version is printed.
            left: events that the server still has for this consumer.
        """
        numbers = self.count * (2 * FIRST_NUMBER + self.count - 1) // 2
        wanted = (self.count * self.rounds, numbers * self.rounds, 0)
        assert (self.handled, self.total, left) == wanted, (self.handled, self.total, left, wanted)
        values = {
            "package": package,
            "version": version(package),
            "publish_per_s": max(self.published),
            "consume_per_s": max(self.consumed),
        }
        sys.stdout.write(json.dumps(values) + "\n")
        sys.stdout.flush()
