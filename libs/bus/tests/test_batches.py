"""Handlers that get many messages at once."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdesk.bus import Ack, Batch, Bus, BusConfig, Dead, Outcome, Reject, Retry, RetryAfter
from streamdesk.bus.backends.records import Entry
from streamdesk.bus.config import RetryPolicy
from streamdesk.bus.consuming.deliveries import Delivery
from streamdesk.bus.consuming.reader import Reader
from streamdesk.bus.observer import BusObserver
from streamdesk.bus.topic_keys import keys_of
from streamdesk.contracts.base import Consumer, Event, Topic

GROUP = "workers"
Answer = Callable[[Batch[Any]], Awaitable[Mapping[int, Outcome] | None]]


@dataclass
class Batches:
    """A handler that notes what it gets and answers as it is set up to."""

    answer: Answer | None = None
    seen: list[Batch[Any]] = field(default_factory=list)

    async def __call__(self, batch: Batch[Any]) -> Mapping[int, Outcome] | None:
        self.seen.append(batch)
        return await self.answer(batch) if self.answer else None

    @property
    def texts(self) -> list[list[str]]:
        return [[event.text for event in batch.events] for batch in self.seen]

    @property
    def flat(self) -> list[str]:
        return [text for batch in self.texts for text in batch]

    async def has(self, events: int) -> None:
        async with asyncio.timeout(30):
            while len(self.flat) < events:
                await asyncio.sleep(0.001)


@asynccontextmanager
async def batching(
    desk: Any, topic: Any, handler: Any, *, bus: Bus | None = None, **options: Any
) -> AsyncIterator[Any]:
    subscription = (bus or desk.bus).subscribe_batches(topic, GROUP, handler, **options)
    stop = asyncio.Event()
    task = asyncio.create_task(subscription.run(stop))
    try:
        yield subscription
    finally:
        stop.set()
        await task


def frame_of(*members: Any, version: int = 2, name: str = "f") -> dict[bytes, bytes]:
    body = json.dumps(members).encode()
    count = str(len(members)).encode()
    fields = {b"t": b"Ping", b"v": str(version).encode(), b"id": name.encode(), b"at": b"1"}
    return fields | {b"n": count, b"b": body}


async def append(desk: Any, topic: Any, *entries: dict[bytes, bytes]) -> None:
    await desk.bus._backend.append(keys_of(topic), 0, entries, None)


async def test_a_batch_has_what_waits_in_order_and_none_of_it_comes_again(
    desk: Any, topic: Any, ping: Any
) -> None:
    await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(25)])
    handler, later = Batches(), Batches()
    async with batching(desk, topic, handler, batch=10):
        await handler.has(25)
        lag = await desk.settled(topic)
    assert handler.texts == [[str(i) for i in range(start, min(25, start + 10))]
                             for start in (0, 10, 20)]  # fmt: skip
    assert (lag.dead, lag.waiting) == (0, 0)
    async with batching(desk, topic, later, lease_seconds=0.01):
        await desk.bus.publish(topic, ping(text="next"))
        await later.has(1)
    assert later.texts == [["next"]]


async def test_a_batch_never_has_more_than_was_asked_for_however_much_comes_at_once(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic, handler = make_topic(max_backlog=10_000), Batches()  # a limit: one step writes all
    async with batching(desk, topic, handler, batch=5):
        for start, count in ((0, 10), (10, 10), (20, 300)):
            await desk.bus.publish_many(topic, [ping(text=str(start + i)) for i in range(count)])
            await handler.has(start + count)
            await desk.settled(topic)
    assert handler.flat == [str(i) for i in range(320)]
    assert max(len(batch) for batch in handler.seen) == 5


async def test_one_outcome_a_position_and_ack_for_the_rest(
    desk: Any, topic: Any, ping: Any
) -> None:
    async def judge(batch: Batch[Any]) -> Mapping[int, Outcome]:
        judgement: dict[str, Outcome] = {"again": Retry(0), "dead": Dead("ill", "by the test")}
        return {
            at: judgement.get(event.text, Ack())
            for at, event in enumerate(batch.events)
            if batch[at].attempt == 1
        }

    handler = Batches(judge)
    await desk.bus.publish_many(topic, [ping(text=t) for t in ("a", "again", "b", "dead", "c")])
    async with batching(desk, topic, handler):
        await handler.has(6)
        await desk.settled(topic)
    assert handler.texts == [["a", "again", "b", "dead", "c"], ["again"]]
    first, again = handler.seen[0][1], handler.seen[1][0]
    assert (again.id, again.attempt, first.attempt) == (first.id, 2, 1)
    (dead,) = await desk.bus.dead(topic)
    assert (dead.letter.reason, dead.letter.detail) == ("ill", "by the test")
    assert dead.letter.event_id == handler.seen[0][3].id


async def test_what_the_handler_raises_is_the_outcome_of_all(
    desk: Any, topic: Any, ping: Any
) -> None:
    async def fail(_batch: Batch[Any]) -> None:
        try:
            raise KeyError("price")
        except KeyError as error:
            raise ValueError("no price") from error

    handler = Batches(fail)
    await desk.bus.publish_many(topic, [ping(text=text) for text in "abc"])
    async with batching(desk, topic, handler, retry=RetryPolicy(1, 0, 0)):
        await handler.has(6)
        await desk.settled(topic)
    assert sorted(handler.flat) == ["a", "a", "b", "b", "c", "c"]
    letters = [stored.letter for stored in await desk.bus.dead(topic)]
    assert [letter.reason for letter in letters] == ["retries-exhausted"] * 3
    errors = ("ValueError: no price", "KeyError: 'price'")
    assert all([a.errors for a in letter.attempts] == [errors, errors] for letter in letters)


@pytest.mark.parametrize(
    ("error", "handled", "dead"), [(Reject("no"), 2, 2), (RetryAfter(0), 4, 0)]
)
async def test_a_handler_of_batches_steers_by_what_it_raises(
    desk: Any, topic: Any, ping: Any, error: Exception, handled: int, dead: int
) -> None:
    async def steer(batch: Batch[Any]) -> None:
        if batch[0].attempt == 1:
            raise error

    handler = Batches(steer)
    await desk.bus.publish_many(topic, [ping(text=text) for text in "ab"])
    async with batching(desk, topic, handler):
        await handler.has(handled)
        lag = await desk.settled(topic)
    assert (len(handler.flat), lag.dead) == (handled, dead)


@pytest.mark.parametrize("position", [3, -1])
async def test_an_outcome_for_a_position_that_is_not_there_is_a_failure_of_the_handler(
    desk: Any, topic: Any, ping: Any, position: int
) -> None:
    async def miscount(batch: Batch[Any]) -> Mapping[int, Outcome] | None:
        return {0: Dead("ill"), position: Dead("who?")} if batch[0].attempt == 1 else None

    handler = Batches(miscount)
    await desk.bus.publish_many(topic, [ping(text=text) for text in "abc"])
    retry = RetryPolicy(base_seconds=0)
    async with batching(desk, topic, handler, retry=retry) as subscription:
        await handler.has(6)
        lag = await desk.settled(topic)
        assert subscription.state == "running"
    assert lag.dead == 0


async def test_a_bad_member_of_a_frame_dies_alone_and_the_others_keep_their_places(
    desk: Any, make_topic: Any
) -> None:
    topic = make_topic(mode="frame")

    async def fail_the_last(batch: Batch[Any]) -> Mapping[int, Outcome]:
        return {at: Retry(0) for at in range(len(batch)) if batch[at].id == "f/3"}

    await append(
        desk,
        topic,
        frame_of({"text": "a"}, {"score": 1}, {"text": "c"}, {"text": "d"}),
        frame_of({"text": "e"}, {"text": "f"}, name="g"),
    )
    handler = Batches(fail_the_last)
    retry = RetryPolicy(max_retries=1)
    async with batching(desk, topic, handler, retry=retry):
        await handler.has(6)
        await desk.settled(topic)
    ids = [(message.id, message.key, message.attempt) for message in handler.seen[0]]
    assert ids == [
        ("f/0", "a", 1),
        ("f/2", "c", 1),
        ("f/3", "d", 1),
        ("g/0", "e", 1),
        ("g/1", "f", 1),
    ]
    (again,) = handler.seen[1]
    assert (again.id, again.key, again.attempt, again.event.text) == ("f/3", "d", 2, "d")
    letters = [stored.letter for stored in await desk.bus.dead(topic)]
    assert [(letter.event_id, letter.reason) for letter in letters] == [
        ("f/1", "invalid-body"),
        ("f/3", "retries-exhausted"),
    ]
    assert letters[0].body == '{"score": 1}'


async def test_a_frame_without_a_readable_member_calls_no_handler(
    desk: Any, make_topic: Any
) -> None:
    topic, handler = make_topic(mode="frame"), Batches()
    await append(desk, topic, frame_of({"score": 1}, 7), frame_of({"text": "good"}, name="g"))
    async with batching(desk, topic, handler):
        await handler.has(1)
        lag = await desk.settled(topic)
    assert (handler.texts, lag.dead) == ([["good"]], 2)


async def test_an_older_version_is_read_and_comes_again_in_the_present_one(
    desk: Any, make_topic: Any
) -> None:
    topic = make_topic(mode="frame")

    async def fail_once(batch: Batch[Any]) -> Mapping[int, Outcome]:
        return {at: Retry(0) for at in range(len(batch)) if batch[at].attempt == 1}

    handler = Batches(fail_once)
    old = {b"t": b"Ping", b"v": b"1", b"id": b"o", b"at": b"1", b"b": b'{"word": "alone"}'}
    await append(desk, topic, frame_of({"word": "a"}, {"word": "b"}, version=1), old)
    async with batching(desk, topic, handler):
        await handler.has(6)
        lag = await desk.settled(topic)
    assert sorted(handler.flat) == ["a", "a", "alone", "alone", "b", "b"]
    assert lag.dead == 0


@pytest.mark.parametrize(
    "changes",
    [
        {b"a": b"x"},
        {b"rp": b"x"},
        {b"at": b"9" * 20},
        {b"at": b"-1"},
        {b"at": b"9" * 5000},
        {b"v": b"1", b"b": b"[" * 100_000},
        {b"n": b"1", b"b": b"[" * 100_000},
        {b"n": b"x"},
        {b"n": b"1", b"b": b"{}"},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["subscribe", "subscribe_batches"])
async def test_a_forged_entry_is_dead_and_stops_no_consumer(
    desk: Any, topic: Any, ping: Any, changes: dict[bytes, bytes], kind: str
) -> None:
    plain = {b"t": b"Ping", b"v": b"2", b"id": b"e", b"at": b"1", b"b": b'{"text": "x"}'}
    forged = plain | changes
    await append(desk, topic, forged)
    await desk.bus.publish(topic, ping(text="good"))
    handled = asyncio.Event()

    async def handle(_what: Any) -> None:
        handled.set()

    stop = asyncio.Event()
    running = asyncio.create_task(getattr(desk.bus, kind)(topic, GROUP, handle).run(stop))
    async with asyncio.timeout(30):
        await asyncio.wait({running, asyncio.ensure_future(handled.wait())},
                           return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
        await desk.settled(topic)
        stop.set()
        await running
    (dead,) = await desk.bus.dead(topic)
    assert dead.letter.reason in ("invalid-envelope", "invalid-body")
    assert dead.original == forged
    tail = desk.bus.tail(topic, since="0")
    assert (await anext(tail)).event.text == "good"
    await tail.aclose()


async def test_a_batch_is_a_sequence_whose_messages_are_made_once(
    desk: Any, topic: Any, ping: Any
) -> None:
    checked = asyncio.Event()

    async def look(batch: Batch[Any]) -> None:
        whole = list(batch)
        assert [message.event for message in whole] == batch.events
        assert batch[0] is whole[0]
        assert batch[-1] is whole[6]
        assert batch[1:4] == whole[1:4]
        assert batch[::-2] == whole[::-2]
        assert batch[5:99] == whole[5:]
        assert batch[7:] == []
        assert list(reversed(batch)) == whole[::-1]
        assert whole[3] in batch
        for outside in (7, -8):
            with pytest.raises(IndexError):
                batch[outside]
        checked.set()

    await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(7)])
    async with asyncio.timeout(30), batching(desk, topic, look):
        await checked.wait()
        lag = await desk.settled(topic)
    assert lag.dead == 0


async def test_messages_of_a_batch_know_that_their_lease_was_lost(
    desk: Any, topic: Any, ping: Any
) -> None:
    proceed = asyncio.Event()

    async def fail_late(batch: Batch[Any]) -> Mapping[int, Outcome]:
        early = batch[0]
        await proceed.wait()
        assert (early.lease_lost, batch[1].lease_lost) == (True, True)
        return {at: Dead("too late") for at in range(2)}

    handler = Batches(fail_late)
    await desk.bus.publish_many(topic, [ping(text=text) for text in "ab"])
    async with batching(desk, topic, handler, lease_seconds=3600) as subscription:
        await handler.has(2)
        assert len(await desk.bus._backend.reclaim(keys_of(topic), GROUP, "thief", 0, 9)) == 2
        await subscription._renew()
        proceed.set()
    lag = await desk.lag(topic)
    assert (lag.pending, lag.dead, lag.delayed) == (2, 0, 0), "the thief decides"


async def test_batches_are_worked_on_at_once_and_the_rest_is_given_back_at_the_stop(
    desk: Any, topic: Any, ping: Any
) -> None:
    both, proceed = asyncio.Event(), asyncio.Event()

    async def wait(_batch: Batch[Any]) -> None:
        if len(handler.seen) == 2:
            both.set()
        await proceed.wait()

    handler, successor = Batches(wait), Batches()
    await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(40)])
    async with asyncio.timeout(30), batching(desk, topic, handler, batch=5, concurrency=2) as first:
        await both.wait()
        while first.in_flight < 20:
            await asyncio.sleep(0.001)
        asyncio.get_running_loop().call_later(0.02, proceed.set)
    begun = len(handler.flat)
    assert begun == 5 * len(handler.seen)
    async with batching(desk, topic, successor):
        await successor.has(40 - begun)
        await desk.settled(topic)
    assert sorted(handler.flat + successor.flat, key=int) == [str(i) for i in range(40)]
    assert {message.deliveries for batch in successor.seen for message in batch} == {1}


class Counts(BusObserver):
    """Adds up what consumers report."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[str, int]] = []
        self.failures: list[str] = []

    def consumed(
        self,
        topic: str,  # noqa: ARG002 - the protocol's
        group: str,  # noqa: ARG002 - the protocol's
        outcome: str,
        count: int,
        seconds: float,
        latency_seconds: float,
    ) -> None:
        assert seconds >= 0
        assert latency_seconds >= 0
        self.outcomes.append((outcome, count))

    def handler_failed(
        self,
        topic: str,  # noqa: ARG002 - the protocol's
        group: str,  # noqa: ARG002 - the protocol's
        event_id: str,
        error: BaseException,
        attempt: int,
        will: str,
    ) -> None:
        assert event_id
        assert attempt == 1
        self.failures.append(f"{type(error).__name__} {will}")


async def test_the_observer_hears_of_good_messages_together_and_of_each_bad_one(
    desk: Any, topic: Any, ping: Any
) -> None:
    async def judge(batch: Batch[Any]) -> Mapping[int, Outcome]:
        if batch.events[0].text == "raise":
            raise Reject("no")
        return {1: Dead("ill"), 3: Retry(3600)}

    counts = Counts()
    await desk.bus.publish_many(topic, [ping(text=text) for text in "abcde"])
    bus = Bus.connect(BusConfig(url=desk.url), counts)
    handler = Batches(judge)
    async with bus, batching(desk, topic, handler, bus=bus):
        await handler.has(5)
        await bus.publish(topic, ping(text="raise"))
        await handler.has(6)
    assert counts.outcomes == [("ack", 3), ("dead", 1), ("retry", 1), ("dead", 1)]
    assert counts.failures == ["Reject dead"]


class Word(Event):
    text: str


WORDS: Topic[Word] = Topic(
    name="words",
    key="test:words",
    models=(Word,),
    about="Test traffic.",
    dead_key="test:words:dead",
    mode="frame",
    key_field="text",
    consumers=(Consumer("worker", GROUP),),
)


def opened(members: Sequence[bool | None], number: int) -> tuple[Delivery[Word], list[str]]:
    """A frame whose members are good or not, or a single event (empty); and its good ids."""
    name = f"e{number}"
    base = {b"t": b"Word", b"v": b"1", b"id": name.encode(), b"at": b"1"}
    if not members:
        fields, ids = base | {b"b": json.dumps({"text": name}).encode()}, [name]
    else:
        bodies = [{"text": f"{name}/{at}"} if good else {} for at, good in enumerate(members)]
        count, body = str(len(bodies)).encode(), json.dumps(bodies).encode()
        fields = base | {b"n": count, b"b": body}
        ids = [f"{name}/{at}" for at, good in enumerate(members) if good]
    reader = Reader(WORDS, keys_of(WORDS), GROUP, "c", RetryPolicy(), 10)
    delivery, dead = reader.open(Entry(0, f"{number}-0", fields))
    assert len(dead) == len(members) - len(ids) if members else not dead
    return delivery, ids


@settings(deadline=None)
@given(frames=st.lists(st.lists(st.booleans(), max_size=5), min_size=1, max_size=8), data=st.data())
def test_each_position_of_a_batch_is_the_message_of_its_event(
    frames: list[list[bool]], data: st.DataObject
) -> None:
    reader = Reader(WORDS, keys_of(WORDS), GROUP, "c", RetryPolicy(), 10)
    both = [opened(members, number) for number, members in enumerate(frames)]
    ids = [name for _, names in both for name in names]
    batch = Batch([delivery for delivery, _ in both if delivery.events], reader.message)
    assert len(batch) == len(ids)
    for at in data.draw(st.permutations(range(len(ids)))):
        message = batch[at]
        assert (message.id, message.event.text, message.key) == (ids[at],) * 3
        assert message.entry_id == f"{ids[at][1:].partition('/')[0]}-0"
