"""Topics with shards: one owner each, a fair share for all, and the order of each key."""

import asyncio
import inspect
import random
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdesk.bus import (
    BreakerPolicy,
    Bus,
    BusConfig,
    BusConfigError,
    BusUnavailableError,
    Dead,
    Message,
    Outcome,
    Retry,
    RetryPolicy,
)
from streamdesk.bus.backend import Entry
from streamdesk.bus.delivery import Delivery
from streamdesk.bus.hands import Hands, Job
from streamdesk.bus.layout import parts_of, shard_of
from streamdesk.bus.observer import Unobserved, Untraced
from streamdesk.bus.sharded import fair_share

GROUP = "workers"
LONG_SECONDS = 60.0
SHORT_SECONDS = 0.3
"""A lease that a test waits for; on a busy machine it may also run out where none waits for it."""
NAMES = st.sets(st.text("abcdef", min_size=1, max_size=3), min_size=1, max_size=12)


@given(shards=st.integers(1, 64), names=NAMES)
def test_the_shares_of_all_who_are_there_are_fair_and_make_up_the_whole(
    shards: int, names: set[str]
) -> None:
    shares = [fair_share(shards, sorted(names), name) for name in names]
    assert sum(shares) == shards
    assert max(shares) - min(shares) <= 1


@given(shards=st.integers(1, 64), names=NAMES, me=st.text("abcdef", min_size=1, max_size=3))
def test_a_share_is_the_same_whoever_is_named_first_or_not_yet(
    shards: int, names: set[str], me: str
) -> None:
    assert fair_share(shards, sorted(names), me) == fair_share(shards, [*names, me, me], me)


@settings(deadline=None)
@given(key=st.text(max_size=20), shards=st.integers(1, 64))
def test_a_key_belongs_to_one_shard_for_ever(key: str, shards: int) -> None:
    assert shard_of(key, shards) == zlib.crc32(key.encode()) % shards


class Proxied:
    """A backend whose network can be cut, wholly or for single steps; notes what is asked."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.cut: set[str] | None = set()
        self.asked: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._backend, name)
        if not inspect.iscoroutinefunction(attribute) or name in ("close", "drop_idle"):
            return attribute

        async def call(*words: Any, **options: Any) -> Any:
            # A consumer joins a topic; nearly all else it does with a shard.
            shard = words and name != "join" and words[0].streams[0]
            self.asked.append((name, shard or ""))
            if self.cut is None or name in self.cut:
                raise BusUnavailableError(f"no way to {name}")
            return await attribute(*words, **options)

        return call


Answer = Callable[[Message[Any]], Awaitable[Outcome | None]]
Log = list[tuple[str, str, int, int]]


@dataclass
class Worker:
    """One process, as far as the bus can tell: a bus and a consumer of its own."""

    name: str
    bus: Bus
    network: Proxied
    log: Log
    answer: Answer | None = None
    fences: dict[str, list[int]] = field(default_factory=dict)
    subscription: Any = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    running: asyncio.Task[None] | None = None

    async def handle(self, message: Message[Any]) -> Outcome | None:
        event = message.event
        self.log.append((self.name, event.text, int(event.score), message.attempt))
        self.fences.setdefault(event.text, []).append(message.fence)
        return await self.answer(message) if self.answer else None

    def start(self, topic: Any, **options: Any) -> None:
        self.subscription = self.bus.subscribe(topic, GROUP, self.handle, **options)
        self.running = asyncio.create_task(self.subscription.run(self.stop))

    def die(self) -> None:
        """Without a word to the server."""
        self.network.cut = None
        assert self.running is not None
        self.running.cancel()

    async def end(self) -> None:
        self.stop.set()
        if self.running is not None:
            await asyncio.gather(self.running, return_exceptions=True)

    def is_late(self) -> bool:
        """Whether the leases of its shards have run out."""
        now, shards = time.monotonic(), self.subscription._owned.values()
        return all(shard.lease_until <= now for shard in shards)

    def owns(self, count: int) -> Callable[[], bool]:
        return lambda: len(self.subscription.owned) == count


class Floor:
    """Workers that share one log of what was begun, in its order."""

    def __init__(self, desk: Any) -> None:
        self.desk = desk
        self.log: Log = []
        self.workers: list[Worker] = []

    def worker(self, answer: Answer | None = None, **changes: Any) -> Worker:
        backend: Any = Proxied(self.desk.another_bus()._backend)
        name = "ABCDEF"[len(self.workers)]
        config = BusConfig(
            url=self.desk.url,
            service=name,
            **({"lease_seconds": LONG_SECONDS, "drain_seconds": 1.0} | changes),
        )
        bus = Bus(backend, config, Unobserved(), Untraced())
        worker = Worker(name, bus, backend, self.log, answer)
        self.workers.append(worker)
        return worker

    def begun(self, key: str, *, by: str = "ABCDEF") -> list[int]:
        return [number for name, of, number, _ in self.log if of == key and name in by]


@pytest.fixture
async def floor(desk: Any) -> AsyncIterator[Floor]:
    floor = Floor(desk)
    yield floor
    for worker in floor.workers:
        worker.network.cut = set()
        await worker.end()
        await worker.bus._backend.close()


@pytest.fixture(autouse=True)
def quick_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that leases may be long where none should run out on a busy machine."""
    monkeypatch.setattr("streamdesk.bus.sharded.LONGEST_ROUND_SECONDS", 0.05)


@pytest.fixture
def topic(make_topic: Any) -> Any:
    return make_topic(shards=4)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.002)


def key_of(shard: int, shards: int) -> str:
    """A key that belongs to this shard."""
    return next(f"k{n}" for n in range(1000) if shard_of(f"k{n}", shards) == shard)


def runs(ping: Any, keys: list[str], count: int, start: int = 0) -> list[Any]:
    """Events of each key numbered in order, the keys mixed."""
    return [ping(text=key, score=number) for number in range(start, start + count) for key in keys]


def in_order_with_repeats(numbers: list[int], count: int) -> bool:
    """Whether each number is first seen after the one before it."""
    return list(dict.fromkeys(numbers)) == list(range(count))


KEYS = [f"key-{number}" for number in range(8)]


@pytest.mark.parametrize("mode", ["entry", "frame"])
async def test_the_next_of_a_key_is_begun_when_the_one_before_it_has_ended_retries_included(
    desk: Any, floor: Floor, make_topic: Any, ping: Any, mode: str
) -> None:
    topic, dice = make_topic(shards=4, mode=mode), random.Random(7)

    async def fail_some(message: Any) -> Retry | None:
        await asyncio.sleep(0)
        if dice.random() < 0.2 and message.attempt < 3:
            return Retry(0)
        if dice.random() < 0.1 and message.attempt < 3:
            raise ValueError("again")
        return None

    worker = floor.worker(fail_some, retry=RetryPolicy(base_seconds=0))
    await desk.bus.publish_many(topic, runs(ping, KEYS, 25))
    worker.start(topic, concurrency=4)
    lag = await desk.settled(topic)
    for key in KEYS:
        tries = [(number, attempt) for _, of, number, attempt in floor.log if of == key]
        assert tries == sorted(tries)
        assert in_order_with_repeats(floor.begun(key), 25)
    assert lag.dead == 0
    assert any(attempt > 1 for *_, attempt in floor.log)


async def test_what_dies_lets_the_next_of_its_key_go_on_with_all_tries_in_its_letter(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    async def fail_the_second(message: Any) -> None:
        if message.event.score == 1:
            raise ValueError(f"try {message.attempt}")

    worker = floor.worker(fail_the_second, retry=RetryPolicy(2, 0, 0))
    await desk.bus.publish_many(topic, runs(ping, ["k"], 3))
    worker.start(topic)
    await desk.settled(topic)
    assert floor.begun("k") == [0, 1, 1, 1, 2]
    (dead,) = await desk.bus.dead(topic)
    assert dead.letter.reason == "retries-exhausted"
    tries = [attempt.errors for attempt in dead.letter.attempts]
    assert tries == [(f"ValueError: try {number}",) for number in (1, 2, 3)]


async def test_consumers_that_come_and_go_share_the_shards_fairly(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    at_work: dict[int, str] = {}

    async def alone(message: Any) -> None:
        shard, me = shard_of(message.key, 4), asyncio.current_task()
        assert shard not in at_work
        at_work[shard] = repr(me)
        await asyncio.sleep(0)
        del at_work[shard]

    one, two, three = (floor.worker(alone) for _ in range(3))
    one.start(topic, concurrency=1)
    await until(one.owns(4))
    await desk.bus.publish_many(topic, runs(ping, KEYS, 20))
    two.start(topic, concurrency=1)
    await until(lambda: one.owns(2)() and two.owns(2)())
    await desk.bus.publish_many(topic, runs(ping, KEYS, 20, 20))
    three.start(topic, concurrency=1)
    await until(lambda: sorted(len(w.subscription.owned) for w in floor.workers) == [1, 1, 2])
    await desk.bus.publish_many(topic, runs(ping, KEYS, 20, 40))
    owned = [number for worker in floor.workers for number in worker.subscription.owned]
    assert sorted(owned) == [0, 1, 2, 3]
    await two.end()
    await until(lambda: one.owns(2)() and three.owns(2)())
    lag = await desk.settled(topic)
    assert lag.dead == 0
    for key in KEYS:
        assert floor.begun(key) == list(range(60)), "each once: they all said goodbye"


async def test_an_owner_that_dies_without_a_goodbye_is_followed_in_order_with_repeats_only(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    stuck = asyncio.Event()

    async def stick_at_the_fourth(message: Any) -> None:
        if message.event.score == 3:
            stuck.set()
            await asyncio.Event().wait()

    dying = floor.worker(stick_at_the_fourth, lease_seconds=SHORT_SECONDS, drain_seconds=0.05)
    await desk.bus.publish_many(topic, runs(ping, KEYS, 10))
    dying.start(topic)
    await stuck.wait()
    dying.die()
    heir = floor.worker(lease_seconds=SHORT_SECONDS)
    heir.start(topic)
    await until(heir.owns(4))
    await desk.settled(topic)
    for key in KEYS:
        assert in_order_with_repeats(floor.begun(key), 10)
        assert floor.begun(key)[-1] == 9
        before, after = dying.fences.get(key, [0]), heir.fences[key]
        assert max(before) < min(after), "the fence grows with each owner"


async def test_an_owner_whose_lease_ran_out_begins_nothing_more(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    reached, proceed = asyncio.Event(), asyncio.Event()

    async def wait(_message: Any) -> None:
        reached.set()
        await proceed.wait()

    cut_off = floor.worker(wait, lease_seconds=SHORT_SECONDS)
    heir = floor.worker(lease_seconds=SHORT_SECONDS)
    await desk.bus.publish_many(topic, runs(ping, ["k"], 10))
    cut_off.start(topic)
    await reached.wait()
    cut_off.network.cut = None
    heir.start(topic)
    await until(heir.owns(4))
    await until(lambda: floor.begun("k", by="B") != [])
    proceed.set()
    await desk.settled(topic)
    assert floor.begun("k", by="A") == [0]
    assert in_order_with_repeats(floor.begun("k", by="B"), 10)
    # When its network is back it takes part again, after what the other has done.
    cut_off.network.cut = set()
    await until(lambda: cut_off.owns(2)() and heir.owns(2)())
    await desk.bus.publish_many(topic, runs(ping, KEYS, 5))
    await desk.settled(topic)
    assert all(in_order_with_repeats(floor.begun(key), 5) for key in KEYS)


async def test_a_shard_whose_lease_ran_out_is_left_alone_until_it_is_owned_anew(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    reached, proceed = asyncio.Event(), asyncio.Event()

    async def wait(_message: Any) -> None:
        reached.set()
        await proceed.wait()

    late = floor.worker(wait, lease_seconds=SHORT_SECONDS)
    await desk.bus.publish_many(topic, runs(ping, ["k"], 10))
    late.start(topic)
    await reached.wait()
    late.network.cut = {"own", "join"}  # the leases of its entries hold, it renews them
    await until(late.is_late)
    proceed.set()
    rounds = len(late.network.asked)
    await until(lambda: late.network.asked[rounds:].count(("join", "")) > 4)
    assert floor.begun("k") == [0]
    late.network.cut = set()
    await desk.settled(topic)
    assert in_order_with_repeats(floor.begun("k"), 10)


async def test_the_next_owner_goes_on_with_what_the_last_one_had_in_hand(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    reached, proceed = asyncio.Event(), asyncio.Event()

    async def wait(_message: Any) -> None:
        reached.set()
        await proceed.wait()

    late = floor.worker(wait, lease_seconds=SHORT_SECONDS)
    heir = floor.worker(lease_seconds=SHORT_SECONDS)
    await desk.bus.publish_many(topic, runs(ping, ["k"], 10))
    late.start(topic)
    await reached.wait()
    late.network.cut = {"own", "join"}  # the leases of its entries hold, it renews them
    await until(late.is_late)
    await desk.bus.publish_many(topic, runs(ping, ["k"], 1, 10))
    heir.start(topic)
    await desk.settled(topic)
    assert in_order_with_repeats(floor.begun("k", by="B"), 11)
    proceed.set()
    await until(lambda: late.subscription.in_hand == 0)
    assert floor.begun("k", by="A") == [0]


async def test_a_retry_in_its_place_is_not_begun_when_the_lease_has_run_out(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    async def again_and_again(message: Any) -> Retry | None:
        return Retry(0.01) if message.event.score == 0 else None

    policy = RetryPolicy(max_retries=1_000_000)
    cut_off = floor.worker(again_and_again, retry=policy, lease_seconds=SHORT_SECONDS)
    heir = floor.worker(lease_seconds=SHORT_SECONDS)
    await desk.bus.publish_many(topic, runs(ping, ["k"], 3))
    cut_off.start(topic)
    await until(lambda: len(floor.begun("k")) >= 2)
    cut_off.network.cut = None
    heir.start(topic)
    await until(lambda: len(floor.begun("k", by="B")) >= 3)
    await asyncio.sleep(0.05)  # some retries' time
    names = [name for name, *_ in floor.log]
    assert "A" not in names[names.index("B") :]


async def test_an_owner_whose_lease_ran_out_takes_nothing_from_the_next(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    released = asyncio.Event()

    async def hold(_message: Any) -> None:
        await released.wait()

    # It can take and settle, but not say that it is there.
    late = floor.worker(lease_seconds=SHORT_SECONDS)
    heir = floor.worker(hold, lease_seconds=SHORT_SECONDS)
    late.start(topic)
    await until(late.owns(4))
    late.network.cut = {"own", "join"}
    heir.start(topic)
    await until(heir.owns(4))
    before = len(late.network.asked)  # what it asked for before its lease ended is over by now
    await desk.bus.publish_many(topic, runs(ping, KEYS, 5))
    await until(lambda: len(floor.log) >= 4)
    await until(lambda: late.network.asked[before:].count(("join", "")) > 4)
    asked = {name for name, _ in late.network.asked[before:]}
    assert not asked & {"take", "take_or_wait", "reclaim"}
    released.set()
    await desk.settled(topic)
    assert {name for name, *_ in floor.log} == {"B"}
    assert all(in_order_with_repeats(floor.begun(key), 5) for key in KEYS)


async def test_a_slow_farewell_from_one_shard_keeps_the_others(
    desk: Any, floor: Floor, make_topic: Any, ping: Any
) -> None:
    topic, proceed = make_topic(shards=2), asyncio.Event()
    kept, given = key_of(0, 2), key_of(1, 2)

    async def stick(message: Any) -> None:
        if message.key == given:
            await proceed.wait()

    giver, taker = floor.worker(stick, drain_seconds=60), floor.worker()
    await desk.bus.publish(topic, ping(text=given))
    giver.start(topic)
    await until(lambda: floor.begun(given) == [0])
    taker.start(topic)
    await until(lambda: giver.subscription._staying == [0])
    asked = len(giver.network.asked)
    renewal = ("own", parts_of(topic)[0].streams[0])
    await until(lambda: giver.network.asked[asked:].count(renewal) >= 5)
    assert giver.subscription.owned == [0, 1], "it stays the owner while its handler runs"
    assert taker.subscription.owned == []
    proceed.set()
    await until(lambda: giver.subscription.owned == [0] and taker.subscription.owned == [1])
    await desk.bus.publish_many(topic, [ping(text=key, score=1) for key in (kept, given)])
    await desk.settled(topic)
    assert [name for name, of, *_ in floor.log if of == kept] == ["A"]
    assert [name for name, of, *_ in floor.log if of == given] == ["A", "B"]


async def test_an_owner_that_lost_its_shard_for_a_moment_starts_anew(
    desk: Any, floor: Floor, make_topic: Any, ping: Any
) -> None:
    topic, worker = make_topic(shards=2), floor.worker()
    key, layout, backend = key_of(1, 2), parts_of(topic)[1], desk.bus._backend
    worker.start(topic)
    await until(worker.owns(2))
    await desk.bus.publish(topic, ping(text=key, score=0))
    await until(lambda: floor.begun(key) == [0])
    await desk.settled(topic)
    first = worker.subscription._owned[1]
    # As when the server lost the owner's name, and another was quicker for an instant.
    worker.network.cut = {"own"}
    quick = 0
    while not quick:
        await backend.disown(layout, GROUP, worker.subscription.consumer)
        quick = await backend.own(layout, GROUP, "quick", 60_000)
    await backend.disown(layout, GROUP, "quick")
    worker.network.cut = set()
    await until(lambda: worker.subscription._owned.get(1, first) is not first)
    await desk.bus.publish(topic, ping(text=key, score=1))
    await desk.settled(topic)
    assert floor.begun(key) == [0, 1]
    before, after = worker.fences[key]
    assert before < quick < after


async def test_a_stop_gives_the_shards_back_at_once(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    first, second = floor.worker(), floor.worker()
    first.start(topic)
    await until(first.owns(4))
    await first.end()
    assert first.subscription.state == "stopped"
    second.start(topic)
    await until(second.owns(4))
    await desk.bus.publish_many(topic, runs(ping, KEYS, 2))
    await desk.settled(topic)
    assert {name for name, *_ in floor.log} == {"B"}
    (lag,) = await desk.bus.lag(topic)
    assert (lag.consumers, len(lag.streams)) == (1, 4)


async def test_the_lag_of_a_topic_is_the_sum_of_its_shards(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    stuck, proceed = asyncio.Event(), asyncio.Event()

    async def wait(_message: Any) -> None:
        stuck.set()
        await proceed.wait()

    await desk.bus.publish_many(topic, runs(ping, KEYS, 5))
    by_shard = [5 * sum(shard_of(key, 4) == shard for key in KEYS) for shard in range(4)]
    lag = await desk.lag(topic)
    assert [stream.waiting for stream in lag.streams] == by_shard
    assert [stream.length for stream in lag.streams] == by_shard
    assert (lag.waiting, lag.pending, lag.length, lag.added) == (40, 0, 40, 40)
    worker = floor.worker(wait)
    worker.start(topic)
    await stuck.wait()
    await until(lambda: worker.subscription.in_hand == 40)
    lag = await desk.lag(topic)
    assert [stream.pending for stream in lag.streams] == by_shard
    (health,) = await desk.bus.consumers(topic, GROUP)
    assert (health.name, health.pending) == (worker.subscription.consumer, 40)
    assert (lag.waiting, lag.pending) == (0, 40)
    proceed.set()
    await desk.settled(topic)


async def test_a_paused_shard_shows_in_its_consumer(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    async def die(_message: Any) -> Dead:
        return Dead("ill")

    worker = floor.worker(die, breaker=BreakerPolicy(3, 1.0, 3600))
    await desk.bus.publish_many(topic, runs(ping, ["k"], 3))
    worker.start(topic)
    await until(lambda: worker.subscription.state == "paused")
    assert worker.subscription.why_paused.startswith("3 of the last 3 died: 3 ill")


async def test_a_shard_that_fails_for_good_ends_its_consumer_with_the_reason(
    floor: Floor, topic: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = floor.worker()

    async def broken(*_words: Any) -> None:
        raise BusConfigError("no such group")

    monkeypatch.setattr(worker.network, "take", broken, raising=False)
    worker.start(topic)
    assert worker.running is not None
    async with asyncio.timeout(30):
        with pytest.raises(BusConfigError, match="no such group"):
            await worker.running
    assert worker.subscription.state == "stopped"
    assert worker.subscription.owned == []


async def test_batches_of_a_topic_with_shards_are_refused(desk: Any, topic: Any) -> None:
    async def handle(_batch: Any) -> None:
        pass

    with pytest.raises(BusConfigError, match="shards to keep events of a key in order"):
        desk.bus.subscribe_batches(topic, GROUP, handle)


def test_taking_what_is_not_begun_leaves_the_rest_and_the_ends_in_order() -> None:
    hands: Hands[Any] = Hands(2)

    def job(name: str, *, begun: bool) -> Job[Any]:
        delivery: Delivery[Any] = Delivery(Entry(0, name, {}))
        delivery.begun = begun
        hands.held[delivery.entry.held] = delivery
        return Job((delivery,))

    first, second, third, fourth = (job(name, begun=name in "ac") for name in "abcd")
    for lane, jobs in ((0, [first, second, None]), (1, [third, None, fourth])):
        for item in jobs:
            hands.lanes[lane].put_nowait(item)
    hands.drop_waiting()
    assert [hands.lanes[0].get_nowait() for _ in range(2)] == [first, None]
    assert [hands.lanes[1].get_nowait() for _ in range(2)] == [third, None]
    assert sorted(entry_id for _, entry_id in hands.held) == ["a", "c"]
    assert hands.dropped
