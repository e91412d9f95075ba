"""What every backend must do; `desk` runs each test on memory, Valkey and Redis."""

import asyncio
import random
from typing import Any

import pytest

from streamdesk.bus import (
    Ack,
    Dead,
    QueueFullError,
    Reject,
    Retry,
    RetryAfter,
    RetryPolicy,
)
from streamdesk.bus.topic_keys import keys_of
from streamdesk.contracts import UnknownEventError
from streamdesk.contracts.base import Event

GROUP = "workers"


async def test_what_is_published_is_handled_in_order_of_arrival(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    handler = recorder()
    await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(50)])
    async with desk.consuming(topic, handler, concurrency=1):
        await handler.has(50)
    assert handler.texts == [str(i) for i in range(50)]


async def test_a_message_published_before_the_group_exists_is_not_lost(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    await desk.bus.publish(topic, ping(text="early"))
    handler = recorder()
    async with desk.consuming(topic, handler):
        await handler.has(1)
    assert handler.texts == ["early"]


async def test_a_waiting_consumer_gets_a_message_at_once(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    handler = recorder()
    async with desk.consuming(topic, handler) as subscription:
        while subscription.state != "running":
            await asyncio.sleep(0)
        await desk.bus.publish(topic, ping(text="now"))
        await handler.has(1)
    assert handler.texts == ["now"]


async def test_an_acknowledged_message_does_not_come_again(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    await desk.bus.publish(topic, ping(text="once"))
    first, second = recorder(), recorder()
    async with desk.consuming(topic, first):
        await first.has(1)
        await desk.settled(topic)
    async with desk.consuming(topic, second, lease_seconds=0.01):
        await desk.bus.publish(topic, ping(text="other"))
        await second.has(1)
    assert second.texts == ["other"]


async def test_two_consumers_of_a_group_share_the_messages(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    one, two = recorder(), recorder()
    async with desk.consuming(topic, one), desk.consuming(topic, two):
        await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(200)])
        await desk.settled(topic)
        while len(one.seen) + len(two.seen) < 200:
            await asyncio.sleep(0.01)
    assert sorted(one.texts + two.texts, key=int) == [str(i) for i in range(200)]


async def test_a_topic_carries_only_its_own_events(desk: Any, topic: Any) -> None:
    class Stranger(Event):
        text: str

    with pytest.raises(UnknownEventError, match="Stranger"):
        await desk.bus.publish(topic, Stranger(text="x"))


async def test_scores_35_65_50_come_out_65_50_35(
    desk: Any, priority_topic: Any, ping: Any, recorder: Any
) -> None:
    for score in (35, 65, 50):
        await desk.bus.publish(priority_topic, ping(text=str(score), score=score))
    handler = recorder()
    async with desk.consuming(priority_topic, handler, concurrency=1):
        await handler.has(3)
    assert handler.texts == ["65", "50", "35"]


async def test_a_thousand_random_scores_come_out_by_class_and_inside_it_by_arrival(
    desk: Any, priority_topic: Any, ping: Any, recorder: Any
) -> None:
    dice = random.Random(7)
    scores = [round(dice.uniform(0, 100), 2) for _ in range(1000)]
    for number, score in enumerate(scores):
        await desk.bus.publish(priority_topic, ping(text=str(number), score=score))
    handler = recorder()
    async with desk.consuming(priority_topic, handler, concurrency=1):
        await handler.has(1000)
    expected = sorted(range(1000), key=lambda i: (-int(scores[i] // 10), i))
    assert [int(text) for text in handler.texts] == expected


async def test_a_higher_class_that_arrives_meanwhile_is_taken_next(
    desk: Any, priority_topic: Any, ping: Any, recorder: Any
) -> None:
    async def publish_high_during_the_first(message: Any) -> None:
        if message.event.text == "first":
            await desk.bus.publish(priority_topic, ping(text="high", score=90))

    handler = recorder(publish_high_during_the_first)
    await desk.bus.publish_many(
        priority_topic, [ping(text=text, score=20) for text in ("first", "low")]
    )
    async with desk.consuming(priority_topic, handler, concurrency=1):
        await handler.has(3)
    assert handler.texts == ["first", "high", "low"]


async def test_a_failed_message_comes_again_with_its_id_and_the_next_attempt(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    async def fail_twice(message: Any) -> None:
        if message.attempt < 3:
            raise ValueError("not yet")

    handler = recorder(fail_twice)
    async with desk.consuming(topic, handler):
        await desk.bus.publish(topic, ping(text="again"))
        await handler.has(3)
        lag = await desk.settled(topic)
    assert [message.attempt for message in handler.seen] == [1, 2, 3]
    assert len({message.id for message in handler.seen}) == 1
    assert lag.dead == 0


async def test_each_retry_goes_one_class_down(
    desk: Any, priority_topic: Any, ping: Any, recorder: Any
) -> None:
    async def retry_at_once(_message: Any) -> Retry:
        return Retry(0)

    handler = recorder(retry_at_once)
    async with desk.consuming(priority_topic, handler):
        await desk.bus.publish(priority_topic, ping(text="sinks", score=15))
        await handler.has(4)
        await desk.settled(priority_topic)
    assert [message.priority for message in handler.seen] == [10, 0, 0, 0]


async def test_after_three_retries_a_message_is_dead_with_every_attempt_and_its_errors(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    async def fail(_message: Any) -> None:
        try:
            raise KeyError("price")
        except KeyError as error:
            raise ValueError("no price") from error

    handler = recorder(fail)
    async with desk.consuming(topic, handler) as subscription:
        await desk.bus.publish(topic, ping(text="poison"))
        await handler.has(4)
        lag = await desk.settled(topic)
    (dead,) = await desk.bus.dead(topic)
    assert lag.dead == 1
    assert len(handler.seen) == 4
    letter = dead.letter
    assert letter.reason == "retries-exhausted"
    assert letter.detail == "ValueError: no price"
    assert letter.event_id == handler.seen[0].id
    assert [a.errors for a in letter.attempts] == [
        ("ValueError: no price", "KeyError: 'price'")
    ] * 4
    assert all(attempt.consumer == subscription.consumer for attempt in letter.attempts)
    times = [attempt.at for attempt in letter.attempts]
    assert times == sorted(times)


async def test_a_dead_message_does_not_stop_the_others(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    async def judge(message: Any) -> Dead | Ack:
        return Dead("unwanted", "by the test") if message.event.text == "bad" else Ack()

    handler = recorder(judge)
    async with desk.consuming(topic, handler):
        await desk.bus.publish_many(topic, [ping(text=t) for t in ("good", "bad", "good")])
        await handler.has(3)
        await desk.settled(topic)
    (dead,) = await desk.bus.dead(topic)
    assert (dead.letter.reason, dead.letter.detail) == ("unwanted", "by the test")


async def test_a_handler_steers_by_what_it_raises(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    async def steer(message: Any) -> None:
        if message.event.text == "reject":
            raise Reject("hopeless", "never")
        if message.attempt == 1:
            raise RetryAfter(0)

    handler = recorder(steer)
    async with desk.consuming(topic, handler):
        await desk.bus.publish_many(topic, [ping(text="reject"), ping(text="later")])
        await handler.has(3)
        await desk.settled(topic)
    (dead,) = await desk.bus.dead(topic)
    assert dead.letter.reason == "hopeless"
    assert sorted(handler.texts) == ["later", "later", "reject"]


async def test_a_retry_is_for_the_group_that_failed_alone(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    async def fail_once(message: Any) -> Retry | None:
        return Retry(0) if message.attempt == 1 else None

    failing, calm = recorder(fail_once), recorder()
    other = desk.bus.subscribe(topic, "others", calm)
    stop = asyncio.Event()
    task = asyncio.create_task(other.run(stop))
    async with desk.consuming(topic, failing):
        await desk.bus.publish(topic, ping(text="once for others"))
        await failing.has(2)
        await desk.bus.publish(topic, ping(text="last"))
        await calm.has(2)
    stop.set()
    await task
    assert calm.texts == ["once for others", "last"]


async def test_a_delayed_retry_waits_and_is_counted_as_delayed(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    async def later(_message: Any) -> Retry:
        return Retry(60)

    handler = recorder(later)
    async with desk.consuming(topic, handler):
        await desk.bus.publish(topic, ping(text="later"))
        await handler.has(1)
        async with asyncio.timeout(30):
            while not (lag := await desk.lag(topic)).delayed:
                await asyncio.sleep(0.01)
    assert (lag.waiting, lag.pending, lag.delayed, lag.dead) == (0, 0, 1, 0)


async def test_a_full_queue_refuses_and_writes_nothing(
    desk: Any, make_topic: Any, ping: Any, recorder: Any
) -> None:
    topic = make_topic(max_backlog=10)
    await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(9)])
    with pytest.raises(QueueFullError) as refusal:
        await desk.bus.publish_many(topic, [ping(text="a"), ping(text="b")])
    assert (refusal.value.limit, refusal.value.backlog) == (10, 9)
    await desk.bus.publish(topic, ping(text="tenth"))
    with pytest.raises(QueueFullError):
        await desk.bus.publish(topic, ping(text="eleventh"))
    assert (await desk.lag(topic)).waiting == 10
    handler = recorder()
    async with desk.consuming(topic, handler):
        await handler.has(10)
        await desk.settled(topic)
    await desk.bus.publish(topic, ping(text="room again"))


async def test_the_limit_counts_what_is_pending_and_what_is_delayed(
    desk: Any, make_topic: Any, ping: Any, recorder: Any
) -> None:
    topic = make_topic(max_backlog=2)
    release = asyncio.Event()

    async def hold_or_delay(message: Any) -> Retry | None:
        if message.event.text == "delayed":
            return Retry(60)
        await release.wait()
        return None

    handler = recorder(hold_or_delay)
    async with desk.consuming(topic, handler):
        await desk.bus.publish_many(topic, [ping(text="held"), ping(text="delayed")])
        await handler.has(2)
        with pytest.raises(QueueFullError):
            await desk.bus.publish(topic, ping(text="third"))
        release.set()


async def test_many_publishers_at_once_never_pass_the_limit(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(max_backlog=25)
    results = await asyncio.gather(
        *(desk.bus.publish(topic, ping(text=str(i))) for i in range(60)), return_exceptions=True
    )
    assert sum(isinstance(result, QueueFullError) for result in results) == 35
    assert (await desk.lag(topic)).waiting == 25


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({b"t": b"Unheard"}, "unknown-event"),
        ({b"v": b"9"}, "unknown-version"),
        ({b"v": b"two"}, "invalid-envelope"),
        ({b"b": b"{broken"}, "invalid-body"),
        ({b"b": b'{"score": 1}'}, "invalid-body"),
        ({b"b": b'{"text": "x", "score": NaN}'}, "invalid-body"),
        ({b"b": b"\xff\xfe"}, "invalid-body"),
        ({b"at": b""}, "invalid-envelope"),
        ({b"id": None}, "invalid-envelope"),
        ({b"t": None, b"b": None}, "invalid-envelope"),
    ],
)
async def test_what_cannot_be_read_is_dead_with_its_reason_and_stops_no_consumer(
    desk: Any, topic: Any, ping: Any, recorder: Any, changes: Any, reason: str
) -> None:
    fields = {b"t": b"Ping", b"v": b"2", b"k": b"", b"id": b"e-1", b"at": b"1", b"b": b"{}"}
    broken = {k: v for k, v in (fields | changes).items() if v is not None}
    await desk.bus._backend.append(keys_of(topic), 0, [broken], None)
    handler = recorder()
    async with desk.consuming(topic, handler):
        await desk.bus.publish(topic, ping(text="good"))
        await handler.has(1)
        lag = await desk.settled(topic)
    (dead,) = await desk.bus.dead(topic)
    assert handler.texts == ["good"]
    assert (lag.dead, dead.letter.reason) == (1, reason)
    assert dead.original == broken


async def test_a_version_one_message_is_read_through_its_upcaster(
    desk: Any, topic: Any, recorder: Any
) -> None:
    old = {b"t": b"Ping", b"v": b"1", b"id": b"e-1", b"at": b"1", b"b": b'{"word": "old"}'}
    await desk.bus._backend.append(keys_of(topic), 0, [old], None)
    handler = recorder()
    async with desk.consuming(topic, handler):
        await handler.has(1)
    assert handler.texts == ["old"]


async def test_a_redriven_letter_comes_back_once_with_its_attempts_forgotten(
    desk: Any, priority_topic: Any, ping: Any, recorder: Any
) -> None:
    healthy = False

    async def fail_until_healed(_message: Any) -> Dead | None:
        return None if healthy else Dead("ill")

    handler = recorder(fail_until_healed)
    async with desk.consuming(priority_topic, handler):
        await desk.bus.publish(priority_topic, ping(text="x", score=70))
        await handler.has(1)
        await desk.settled(priority_topic)
        healthy = True
        assert (await desk.bus.redrive(priority_topic)).redriven == 1
        await handler.has(2)
        lag = await desk.settled(priority_topic)
    first, second = handler.seen
    assert (second.id, second.attempt, second.priority) == (first.id, 1, 70)
    assert lag.dead == 0
    assert (await desk.bus.redrive(priority_topic)).redriven == 0


async def test_purged_letters_are_gone(desk: Any, topic: Any, ping: Any, recorder: Any) -> None:
    async def die(_message: Any) -> Dead:
        return Dead("ill")

    handler = recorder(die)
    async with desk.consuming(topic, handler):
        await desk.bus.publish_many(topic, [ping(text="a"), ping(text="b")])
        await handler.has(2)
        await desk.settled(topic)
    first, _second = await desk.bus.dead(topic)
    assert await desk.bus.purge_dead(topic, [first.id]) == 1
    assert await desk.bus.purge_dead(topic) == 1
    assert await desk.bus.dead(topic) == []


async def test_the_next_messages_can_be_looked_at_without_taking_them(
    desk: Any, priority_topic: Any, ping: Any
) -> None:
    for score in (10, 90, 50):
        await desk.bus.publish(priority_topic, ping(text=str(score), score=score))
    waiting = await desk.bus.waiting(priority_topic, GROUP, 2)
    assert [message.event.text for message in waiting] == ["90", "50"]
    assert (await desk.lag(priority_topic)).waiting == 3


async def test_trimming_keeps_what_a_group_has_not_finished(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(keep=5)
    topic_keys, backend = keys_of(topic), desk.bus._backend
    await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(40)])
    await backend.ensure_group(topic_keys, GROUP)
    assert await backend.trim(topic_keys, 5) == 0
    taken = await backend.take(topic_keys, GROUP, "c", 30)
    await backend.settle(topic_keys, GROUP, "c", [e.held for e in taken.entries[:20]], [])
    while await backend.trim(topic_keys, 5):
        pass
    lag = await desk.lag(topic)
    assert (lag.waiting, lag.pending) == (10, 10)
    assert 20 <= lag.length <= 21


async def test_a_topic_without_groups_keeps_a_bounded_length(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(keep=100, consumers=())
    await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(2000)])
    (lag,) = await desk.bus.lag(topic)
    assert 100 <= lag.length < 400
    assert lag.added == 2000


async def test_an_event_id_of_the_callers_is_kept(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    handler = recorder()
    await desk.bus.publish(topic, ping(text="x"), event_id="derived-1")
    async with desk.consuming(topic, handler):
        await handler.has(1)
    assert handler.seen[0].id == "derived-1"


async def test_a_policy_of_no_retries_makes_the_first_failure_the_last(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    async def fail(_message: Any) -> None:
        raise ValueError("no")

    handler = recorder(fail)
    async with desk.consuming(topic, handler, retry=RetryPolicy(max_retries=0)):
        await desk.bus.publish(topic, ping(text="x"))
        await handler.has(1)
        lag = await desk.settled(topic)
    assert lag.dead == 1
    assert len(handler.seen) == 1
