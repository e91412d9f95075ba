"""A full queue with classes: what is stronger comes in, what is weaker becomes a dead letter."""

import asyncio
import json
import random
import secrets
from collections import deque
from typing import Any

import pytest

from streamdesk.bus import Bus, BusConfig, QueueFullError, Retry
from streamdesk.bus.backends.records import Entry, Taken
from streamdesk.bus.observer import BusObserver
from streamdesk.bus.publishing.encoding import encode_all
from streamdesk.bus.topic_keys import keys_of
from streamdesk.contracts.base import Consumer, Event, Topic

GROUP = "workers"
CLASSES = (0, 10, 50, 90, 110)


class Ping(Event):
    """A small event with a priority."""

    text: str
    score: float = 0


def queue(limit: int = 4, **changes: Any) -> Topic[Ping]:
    """A topic with classes, a limit, and a class with room of its own."""
    key = f"test:{secrets.token_hex(4)}"
    values: dict[str, Any] = {
        "name": "pings",
        "key": key,
        "models": (Ping,),
        "about": "Test traffic.",
        "dead_key": f"{key}:dead",
        "consumers": (Consumer("worker", GROUP),),
        "classes": CLASSES,
        "class_field": "score",
        "reserved_class": 110,
        "max_backlog": limit,
        "displaces": True,
    }
    return Topic(**(values | changes))


async def fill(desk: Any, topic: Topic[Ping], *scores: int) -> None:
    for number, score in enumerate(scores):
        await desk.bus.publish(topic, Ping(text=f"{score}-{number}", score=score))


async def waiting(desk: Any, topic: Topic[Ping], group: str = GROUP) -> list[str]:
    return [message.event.text for message in await desk.bus.waiting(topic, group, 100)]


async def dead(desk: Any, topic: Topic[Ping]) -> list[tuple[str, str, str, str]]:
    """Text, group, reason and detail of each dead letter, the oldest first."""
    return [
        (json.loads(stored.letter.body)["text"], *_why(stored.letter))
        for stored in await desk.bus.dead(topic)
    ]


def _why(letter: Any) -> tuple[str, str, str]:
    return letter.group, letter.reason, letter.detail


async def take(desk: Any, topic: Topic[Ping], count: int, group: str = GROUP) -> list[Entry]:
    backend, topic_keys = desk.bus._backend, keys_of(topic)
    await backend.ensure_group(topic_keys, group)
    taken: Taken = await backend.take(topic_keys, group, "c", count)
    return taken.entries


async def test_a_stronger_message_takes_the_place_of_the_oldest_of_the_weakest(
    desk: Any,
) -> None:
    topic = queue()
    await fill(desk, topic, 50, 10, 10, 50)
    await desk.bus.publish(topic, Ping(text="strong", score=90), event_id="strong-id")
    assert await waiting(desk, topic) == ["strong", "50-0", "50-3", "10-2"]
    detail = "displaced by Ping strong-id of class 90"
    assert await dead(desk, topic) == [("10-1", GROUP, "queue-full", detail)]


@pytest.mark.parametrize("score", [10, 0])
async def test_a_message_no_stronger_than_the_weakest_is_refused_and_nothing_changes(
    desk: Any, score: int
) -> None:
    topic = queue()
    await fill(desk, topic, 10, 50, 10, 90)
    with pytest.raises(QueueFullError) as refusal:
        await desk.bus.publish(topic, Ping(text="weak", score=score))
    assert (refusal.value.limit, refusal.value.backlog) == (4, 4)
    assert await waiting(desk, topic) == ["90-3", "50-1", "10-0", "10-2"]
    assert await dead(desk, topic) == []


async def test_a_publisher_that_would_rather_wait_displaces_nothing(desk: Any) -> None:
    topic = queue(displaces=False)
    await fill(desk, topic, 10, 10, 10, 10)
    with pytest.raises(QueueFullError):
        await fill(desk, topic, 90)
    await fill(desk, topic, 110)
    assert (len(await waiting(desk, topic)), await dead(desk, topic)) == (5, [])


async def test_a_batch_displaces_as_many_as_it_needs_or_none(desk: Any) -> None:
    topic = queue()
    await fill(desk, topic, 10, 90, 50)
    with pytest.raises(QueueFullError):
        await desk.bus.publish_many(topic, [Ping(text="x", score=90)] * 4)
    assert (await dead(desk, topic), len(await waiting(desk, topic))) == ([], 3)
    ids = ["a", "b", "c"]
    await desk.bus.publish_many(topic, [Ping(text=text, score=90) for text in ids], event_ids=ids)
    assert await waiting(desk, topic) == ["90-1", "a", "b", "c"]
    assert [(text, detail) for text, _, _, detail in await dead(desk, topic)] == [
        ("10-0", "displaced by Ping a of class 90"),
        ("50-2", "displaced by Ping b of class 90"),
    ]


async def test_what_a_consumer_holds_or_waits_for_its_retry_is_never_displaced(
    desk: Any, recorder: Any
) -> None:
    topic = queue(limit=2)

    async def hold(_: Any) -> Retry:
        return Retry(60)

    handler = recorder(hold)
    async with desk.consuming(topic, handler):
        await fill(desk, topic, 10)
        await handler.has(1)
        async with asyncio.timeout(30):
            while not (await desk.lag(topic)).delayed:
                await asyncio.sleep(0.01)
    await fill(desk, topic, 10)
    assert len(await take(desk, topic, 1)) == 1
    with pytest.raises(QueueFullError):
        await desk.bus.publish(topic, Ping(text="strong", score=90))
    lag = await desk.lag(topic)
    assert (lag.waiting, lag.pending, lag.delayed, lag.dead) == (0, 1, 1, 0)


async def test_a_message_given_up_by_one_group_is_read_by_the_others_and_by_readers_along(
    desk: Any,
) -> None:
    topic = queue(limit=2, consumers=(Consumer("worker", GROUP), Consumer("other", "others")))
    await fill(desk, topic, 10, 10)
    held = await take(desk, topic, 1, "others")
    await desk.bus._backend.settle(keys_of(topic), "others", "c", [held[0].held], [])
    await desk.bus.publish(topic, Ping(text="strong", score=90))
    assert await waiting(desk, topic) == ["strong", "10-1"]
    assert await waiting(desk, topic, "others") == ["strong", "10-1"]
    await desk.bus.publish(topic, Ping(text="stronger", score=90))
    assert await waiting(desk, topic, "others") == ["strong", "stronger"]
    assert [(text, group) for text, group, _, _ in await dead(desk, topic)] == [
        ("10-0", GROUP),
        ("10-1", GROUP),
        ("10-1", "others"),
    ]
    assert len([m async for m in desk.bus.replay(topic, "0")]) == 4


async def test_another_groups_retry_is_passed_over_without_a_dead_letter(desk: Any) -> None:
    topic = queue(limit=1)
    (fields,) = encode_all(topic, [Ping(text="theirs", score=10)], None, [None])
    theirs = fields | {b"g": b"others"}
    await desk.bus._backend.append(keys_of(topic), CLASSES[::-1].index(10), [theirs], None)
    await desk.bus.publish(topic, Ping(text="strong", score=90))
    assert (await waiting(desk, topic), await dead(desk, topic)) == (["strong"], [])


async def test_a_displaced_message_goes_back_to_its_group_when_it_is_redriven(desk: Any) -> None:
    topic = queue(limit=1)
    await fill(desk, topic, 10)
    await desk.bus.publish(topic, Ping(text="strong", score=90))
    assert (await desk.bus.redrive(topic)).redriven == 1
    assert await waiting(desk, topic) == ["strong", "10-0"]


async def test_the_reserved_class_has_as_much_room_again_and_displaces_nothing_in_it(
    desk: Any,
) -> None:
    topic = queue(limit=2)
    await fill(desk, topic, 10, 10, 110, 110)
    assert (await waiting(desk, topic))[:2] == ["110-2", "110-3"]
    assert await dead(desk, topic) == []
    with pytest.raises(QueueFullError):
        await fill(desk, topic, 10)
    await fill(desk, topic, 110, 110)
    assert [text for text, *_ in await dead(desk, topic)] == ["10-0", "10-1"]
    with pytest.raises(QueueFullError) as refusal:
        await fill(desk, topic, 110)
    assert (refusal.value.limit, refusal.value.backlog) == (4, 4)


async def test_reserved_messages_beyond_the_limit_leave_the_others_their_order(
    desk: Any,
) -> None:
    topic = queue(limit=2)
    await fill(desk, topic, 10, 110, 110)
    await fill(desk, topic, 90)
    assert [text for text, *_ in await dead(desk, topic)] == ["10-0"]
    assert len(await waiting(desk, topic)) == 3, "above the limit it never grows by others"


async def test_a_scheduled_message_of_the_reserved_class_has_its_room_too(desk: Any) -> None:
    topic = queue(limit=1)
    await fill(desk, topic, 10)
    with pytest.raises(QueueFullError):
        await desk.bus.publish(topic, Ping(text="later", score=90), delay_seconds=60)
    await desk.bus.publish(topic, Ping(text="later", score=110), delay_seconds=60)


async def test_a_retry_stays_in_the_reserved_class(desk: Any, recorder: Any) -> None:
    topic = queue()

    async def twice(message: Any) -> Retry | None:
        return Retry() if message.attempt <= 2 else None

    handler = recorder(twice)
    async with desk.consuming(topic, handler):
        await fill(desk, topic, 110)
        await handler.has(3)
        await desk.settled(topic)
    assert [message.priority for message in handler.seen] == [110, 110, 110]


async def test_an_event_that_was_written_already_displaces_nothing(desk: Any) -> None:
    topic = queue(limit=2, dedup_window_seconds=60)
    strong = Ping(text="strong", score=90)
    first = await desk.bus.publish(topic, strong, event_id="once")
    await fill(desk, topic, 10)
    assert await desk.bus.publish(topic, strong, event_id="once") == first
    both = await desk.bus.publish_many(topic, [strong, strong], event_ids=["new", "new"])
    assert both[0] == both[1]
    assert [detail for *_, detail in await dead(desk, topic)] == [
        "displaced by Ping new of class 90"
    ]


@pytest.mark.parametrize("body", ['{"text": "é€𝄞/\\"\\\\"}'.encode(), b"\xff\xc3\xa9\xed\xa0\x80"])
@pytest.mark.parametrize("history", [b"", b"junk"])
async def test_the_letter_of_a_displaced_message_can_be_read_whatever_the_message_is(
    desk: Any, body: bytes, history: bytes
) -> None:
    topic = queue(limit=1)
    (fields,) = encode_all(topic, [Ping(text="x", score=10)], None, [None])
    fields |= {b"b": body, b"v": b"\xfe", b"rp": b"2", b"h": history}
    index = CLASSES[::-1].index(10)
    await desk.bus._backend.append(keys_of(topic), index, [fields], None)
    await desk.bus.publish(topic, Ping(text="strong", score=90))
    (stored,) = await desk.bus.dead(topic)
    assert stored.original == fields
    letter = stored.letter
    assert letter.body.encode() == body or letter.body.startswith(r"\xff")
    assert (letter.topic, letter.stream, letter.replays) == ("pings", index, 2)
    assert (letter.event_type, letter.event_version) == ("Ping", r"\xfe")
    assert (letter.event_id.encode(), letter.attempts) == (fields[b"id"], ())


async def test_a_displaced_retry_keeps_the_history_of_its_tries(desk: Any, recorder: Any) -> None:
    topic = queue(limit=1)

    async def fail(_: Any) -> None:
        raise ValueError("no price")

    handler = recorder(fail)
    async with desk.consuming(topic, handler, concurrency=1):
        await fill(desk, topic, 10)
        await handler.has(1)
    backend, topic_keys = desk.bus._backend, keys_of(topic)
    async with asyncio.timeout(30):
        while not (await desk.lag(topic)).waiting:  # its delay is over: it goes back
            await backend.take(topic_keys, GROUP, "c", 0)
            await asyncio.sleep(0.01)
    await desk.bus.publish(topic, Ping(text="strong", score=90))
    (stored,) = await desk.bus.dead(topic)
    assert [attempt.errors for attempt in stored.letter.attempts] == [("ValueError: no price",)]


async def test_the_observer_hears_what_was_given_up_and_for_which_class(desk: Any) -> None:
    said: list[tuple[Any, ...]] = []

    class Listener(BusObserver):
        def displaced(self, *words: Any) -> None:
            said.append(words)

    topic = queue(limit=1)
    async with Bus.connect(BusConfig(url=desk.url), observer=Listener()) as bus:
        await bus.publish(topic, Ping(text="weak", score=10))
        await bus.publish(topic, Ping(text="strong", score=90))
    assert said == [("pings", GROUP, 10, 90)]


async def test_the_servers_own_figures_stay_right_when_messages_are_given_up(
    server_desk: Any,
) -> None:
    """What redis_exporter, Grafana and the operator read: no entry is deleted, the group moves."""
    topic = queue(limit=6)
    await fill(server_desk, topic, 10, 10, 10, 10, 10, 10)
    held = await take(server_desk, topic, 2)
    await server_desk.bus._backend.settle(keys_of(topic), GROUP, "c", [held[0].held], [])
    await fill(server_desk, topic, 90, 90)
    key = f"{{{topic.key}}}:10"
    (row,) = await server_desk.command("XINFO", "GROUPS", key)
    found = dict(zip(row[::2], row[1::2], strict=True))
    assert (found[b"lag"], found[b"pending"], found[b"entries-read"]) == (3, 1, 3)
    assert await server_desk.command("XLEN", key) == 6
    lag = await server_desk.lag(topic)
    assert (lag.waiting, lag.pending, lag.dead) == (5, 1, 1)


async def test_many_publishers_at_once_keep_the_strongest(desk: Any) -> None:
    topic = queue(limit=20)
    scores = [random.Random(7).choice(CLASSES[:-1]) for _ in range(100)]

    async def publish(at: int, score: int) -> bool:
        try:
            await desk.bus.publish(topic, Ping(text=f"{at}", score=score))
        except QueueFullError:
            return False
        return True

    done = await asyncio.gather(*(publish(at, score) for at, score in enumerate(scores)))
    waiting_now = await desk.bus.waiting(topic, GROUP, 100)
    kept = sorted(message.event.score for message in waiting_now)
    assert kept == sorted(sorted(scores)[-20:])
    assert sum(done) == 20 + len(await dead(desk, topic))


class Model:
    """What a queue does, by its rules alone: unread texts of each class, those held, those dead."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.unread: dict[int, deque[str]] = {number: deque() for number in CLASSES}
        self.held: list[str] = []
        self.dead: list[str] = []

    def publish(self, texts: list[str], number: int) -> bool:
        limit = self.limit * (2 if number == 110 else 1)
        backlog = sum(map(len, self.unread.values())) + len(self.held)
        wanted = min(len(texts), max(0, backlog + len(texts) - limit))
        weaker = [(low, text) for low in CLASSES if low < number for text in self.unread[low]]
        if len(weaker) < wanted:
            return False
        for low, text in weaker[:wanted]:
            self.unread[low].remove(text)
            self.dead.append(text)
        self.unread[number] += texts
        return True

    def take(self, count: int) -> list[str]:
        taken = [text for number in CLASSES[::-1] for text in self.unread[number]][:count]
        for queue_of_class in self.unread.values():
            while queue_of_class and queue_of_class[0] in taken:
                queue_of_class.popleft()
        self.held += taken
        return taken


@pytest.mark.parametrize("seed", range(20))
async def test_a_queue_does_what_its_rules_say_whatever_happens(desk: Any, seed: int) -> None:
    chance = random.Random(seed)
    topic, model = queue(limit=5), Model(5)
    backend, topic_keys = desk.bus._backend, keys_of(topic)
    held: dict[str, Entry] = {}
    number = 0
    for _ in range(120):
        step = chance.choice(("publish", "publish", "publish", "take", "ack", "trim"))
        if step == "publish":
            score, size = chance.choice(CLASSES), chance.choice((1, 1, 1, 2, 3))
            texts = [f"{number + at}" for at in range(size)]
            number += size
            expected = model.publish(texts, score)
            try:
                await desk.bus.publish_many(topic, [Ping(text=t, score=score) for t in texts])
            except QueueFullError:
                assert not expected
            else:
                assert expected
        elif step == "take":
            count = chance.randint(1, 3)
            entries = await take(desk, topic, count)
            names = [json.loads(entry.fields[b"b"])["text"] for entry in entries]
            assert names == model.take(count)
            held |= dict(zip(names, entries, strict=True))
        elif step == "ack" and held:
            name = chance.choice(sorted(held))
            await backend.settle(topic_keys, GROUP, "c", [held.pop(name).held], [])
            model.held.remove(name)
        elif step == "trim":
            await backend.trim(topic_keys, chance.choice((0, 100)))
        lag = await desk.lag(topic)
        assert (lag.waiting, lag.pending, lag.dead) == (
            sum(map(len, model.unread.values())),
            len(model.held),
            len(model.dead),
        )
    assert await waiting(desk, topic) == [t for n in CLASSES[::-1] for t in model.unread[n]]
    assert [text for text, *_ in await dead(desk, topic)] == model.dead
