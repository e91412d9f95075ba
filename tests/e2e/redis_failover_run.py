"""Take the Redis master away, again and again, while one publisher publishes.

    python -m tests.e2e.redis_failover_run --deleted 50 --forced 8 --crashed 3 --wiped 4

Installs the chart of Redis alone into a namespace of its own, small, and removes it at the end. The
publisher is one of the chart's users and waits for a replica with each event.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import hiredis

from streamdesk.bus import Bus, BusConfig, NotDurableError, Wait
from streamdesk.contracts.base import Event, Topic
from tests.e2e.redis_failover import (
    FAULTS,
    LONGEST_WAIT_SECONDS,
    NAMESPACE,
    Fault,
    RedisSet,
    installed,
    row,
)

DURABLE = Wait(replicas=1, timeout_ms=500)
CALM_SECONDS = 1.0  # of publishing before each fault
PAUSE_SECONDS = 0.005  # far below any gap; leaves the machine to the servers
WATCH_SECONDS = 0.05
PAGE = 1000
BOUND_SECONDS: dict[Fault, float] = {"deleted": 3.0, "forced": 5.0, "crashed": 5.0, "wiped": 5.0}
"""The longest gap that the chart promises: a planned move, or down-after and three seconds."""


class Written(Event):
    """A number that must not be lost."""

    number: int


TOPIC = Topic(
    name="risk",
    key="trading:risk",
    models=(Written,),
    about="What is published while the master's role moves.",
    dead_key="trading:risk:dead",
    keep=999_999,  # all of it: what is missing at the end was lost
)


@dataclass(slots=True)
class Watch:
    """What the Sentinels have said, and how late this machine was."""

    redis: RedisSet
    masters: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    late: list[tuple[float, float]] = field(default_factory=list)

    async def run(self) -> None:
        """Ask the Sentinels until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._clock())
            for address in self.redis.addresses:
                group.create_task(self._follow(address))

    async def _follow(self, sentinel: str) -> None:
        while True:
            with contextlib.suppress(OSError, hiredis.HiredisError, TypeError):
                opinion = await self.redis.opinion(sentinel)
                self.masters[opinion.epoch].add(opinion.master)
            await asyncio.sleep(WATCH_SECONDS)

    async def _clock(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(WATCH_SECONDS)
            self.late.append((time.monotonic(), time.monotonic() - began - WATCH_SECONDS))

    def stalled_seconds(self, since: float) -> float:
        """The longest time since then in which this machine did not even run a timer."""
        return max((late for at, late in self.late if at >= since), default=0.0)

    @property
    def doubled(self) -> dict[int, set[str]]:
        """Failovers that made two masters."""
        return {epoch: names for epoch, names in self.masters.items() if len(names) > 1}


@dataclass(slots=True)
class Publisher:
    """Publishes continuously and records when each event was acknowledged."""

    bus: Bus
    acked: set[int] = field(default_factory=set)
    times: list[float] = field(default_factory=list)
    unconfirmed: int = 0

    async def run(self) -> None:
        """Publish until cancelled."""
        for number in itertools.count(1):
            try:
                await self.bus.publish(TOPIC, Written(number=number), durable=DURABLE)
            except NotDurableError:
                self.unconfirmed += 1
                continue
            self.acked.add(number)
            self.times.append(time.monotonic())
            await asyncio.sleep(PAUSE_SECONDS)

    def longest_gap(self, since: float) -> float:
        """The longest time without an acknowledged publish since then, in seconds."""
        times = [at for at in self.times if at >= since]
        return max(later - earlier for earlier, later in itertools.pairwise(times))

    async def wait_for_ack(self, since: float) -> None:
        """Wait until something was acknowledged after that time."""
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while not self.times or self.times[-1] < since:
            assert time.monotonic() < deadline, "nothing is acknowledged any more"
            await asyncio.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Round:
    """One fault and what it cost.

    Args:
        fault: what was done.
        gap_seconds: longest time between two acknowledged events.
        stalled_seconds: longest time in which this machine stood still.
        whole_seconds: until another failover would have been possible.
        lost: acknowledged events that the new master does not have.
    """

    fault: Fault
    gap_seconds: float
    stalled_seconds: float
    whole_seconds: float
    lost: frozenset[int]

    @property
    def is_late(self) -> bool:
        """Whether the gap was longer than promised, without this machine's own part in it."""
        return self.gap_seconds - self.stalled_seconds > BOUND_SECONDS[self.fault]

    def __str__(self) -> str:
        return (
            f"{self.fault:<8} gap {self.gap_seconds:6.3f} s   stalled {self.stalled_seconds:5.3f} s"
            f"   whole after {self.whole_seconds:5.1f} s   acked lost {len(self.lost)}"
        )


@dataclass(slots=True)
class Trial:
    """A set, its publisher and its watch."""

    redis: RedisSet
    publisher: Publisher
    watch: Watch

    async def round(self, fault: Fault) -> Round:
        """Take the master away once, and wait until all is well again."""
        await self.redis.wait_until_whole()
        began = time.monotonic()
        await self.publisher.wait_for_ack(began)
        await asyncio.sleep(CALM_SECONDS)
        master = (await self.redis.opinion(self.redis.addresses[0])).master
        struck = time.monotonic()
        await self.redis.take_away(fault, master)
        await self._wait_for_another(master)
        await self.redis.wait_until_whole()
        whole = time.monotonic()
        await self.publisher.wait_for_ack(whole)
        await asyncio.sleep(CALM_SECONDS)
        return Round(
            fault=fault,
            gap_seconds=self.publisher.longest_gap(began),
            stalled_seconds=self.watch.stalled_seconds(began),
            whole_seconds=whole - struck,
            lost=frozenset(await self.missing()),
        )

    async def _wait_for_another(self, old: str) -> None:
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        others = [address for address in self.redis.addresses if address != old]
        while True:
            with contextlib.suppress(OSError, hiredis.HiredisError):
                if all([(await self.redis.opinion(one)).master != old for one in others]):
                    return
            assert time.monotonic() < deadline, f"{old} stays the master"
            await asyncio.sleep(0.1)

    async def missing(self) -> set[int]:
        """Acknowledged numbers that do not stand in the stream of the present master."""
        acked = set(self.publisher.acked)
        master = (await self.redis.opinion(self.redis.addresses[0])).master
        stored, start = set[int](), "-"
        while rows := await self.redis.ask_server(
            master, "XRANGE", TOPIC.key, start, "+", "COUNT", str(PAGE)
        ):
            for _, flat in rows:
                stored.add(json.loads(row(flat)["b"])["number"])
            start = f"({rows[-1][0]}"
        return acked - stored


@asynccontextmanager
async def trial(redis: RedisSet) -> AsyncIterator[Trial]:
    """Publisher and watch at work on a whole set."""
    await redis.wait_until_whole()
    config = BusConfig(url=redis.url, service="failover")
    async with Bus.connect(config) as bus:
        publisher, watch = Publisher(bus), Watch(redis)
        tasks = [asyncio.create_task(one.run()) for one in (publisher, watch)]
        try:
            yield Trial(redis, publisher, watch)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            for end in ends:
                if isinstance(end, Exception):
                    raise end


def say(text: str) -> None:
    """Progress, for a person."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - the report


def summary(rounds: list[Round], checked: Trial) -> dict[str, object]:
    """The figures of all rounds."""
    figures: dict[str, object] = {}
    for fault in FAULTS:
        gaps = [one.gap_seconds for one in rounds if one.fault == fault]
        if gaps:
            figures[f"{fault}_rounds"] = len(gaps)
            figures[f"{fault}_gap_s"] = round(max(gaps), 3)
            figures[f"{fault}_gap_median_s"] = round(statistics.median(gaps), 3)
    return figures | {
        "acked": len(checked.publisher.acked),
        "acked_lost": len(frozenset[int]().union(*(one.lost for one in rounds))),
        "unconfirmed": checked.publisher.unconfirmed,
        "failovers": len(checked.watch.masters) - 1,
        "doubled_masters": len(checked.watch.doubled),
    }


async def run(redis: RedisSet, faults: list[Fault]) -> dict[str, object]:
    """All rounds, one after the other; the figures."""
    rounds: list[Round] = []
    async with trial(redis) as checked:
        for number, fault in enumerate(faults, 1):
            rounds.append(await checked.round(fault))
            say(f"{number:3}/{len(faults)} {rounds[-1]}")
            if rounds[-1].is_late or rounds[-1].lost:
                say(redis.recent_logs(rounds[-1].whole_seconds))
        return summary(rounds, checked)


def main() -> int:
    """Measure, and print one JSON object last."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--deleted", type=int, default=50, help="deletions of the pod (50)")
    parser.add_argument("--forced", type=int, default=8, help="deletions without grace (8)")
    parser.add_argument("--crashed", type=int, default=3, help="ends of the process (3)")
    parser.add_argument("--wiped", type=int, default=4, help="the same with the disk (4)")
    parser.add_argument("--namespace", default=NAMESPACE, help=f"made and removed ({NAMESPACE})")
    options = parser.parse_args()
    faults: list[Fault] = []
    for fault in FAULTS:
        faults += [fault] * getattr(options, fault)
    with installed(options.namespace) as redis:
        figures = asyncio.run(run(redis, faults))
    print(json.dumps(figures))  # noqa: T201 - the result
    return int(bool(figures["acked_lost"] or figures["doubled_masters"]))


if __name__ == "__main__":
    sys.exit(main())
