"""A consumer that stops when most messages die, says why, drops nothing, and resumes."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdesk.bus import (
    Batch,
    BreakerPolicy,
    Bus,
    BusConfig,
    BusConfigError,
    Dead,
    Outcome,
    Retry,
)
from streamdesk.bus.consuming.breaker import Breaker
from streamdesk.bus.observer import BusObserver
from streamdesk.bus.topic_keys import keys_of

GROUP = "workers"
ALL_OF_FOUR = BreakerPolicy(window=4, dead_share=1.0, pause_seconds=3600)
SOON = BreakerPolicy(window=4, dead_share=1.0, pause_seconds=0.05)


@pytest.mark.parametrize(
    "values", [(0, 0.5, 1), (1, 0, 1), (1, 1.1, 1), (1, 0.5, 0), (-1, 0.5, 1), (1, 0.5, -1)]
)
def test_a_policy_that_cannot_work_is_refused(values: tuple[int, float, float]) -> None:
    with pytest.raises(BusConfigError, match="expected a window of 1 or more"):
        BreakerPolicy(*values)


def test_it_opens_when_enough_of_a_full_window_died_and_says_of_what() -> None:
    breaker = Breaker(BreakerPolicy(window=4, dead_share=0.75, pause_seconds=30))
    for reason in ("ill", "", "late"):
        breaker.note(reason, now=100)
        assert breaker.is_closed
        assert breaker.pause_seconds(100) == 0
    breaker.note("ill", now=100)
    assert not breaker.is_closed
    assert breaker.why == "3 of the last 4 died: 2 ill, 1 late; nothing is taken for 30 s"
    assert breaker.pause_seconds(110) == 20


def test_what_was_in_work_when_it_opened_changes_nothing() -> None:
    breaker = Breaker(BreakerPolicy(window=1, pause_seconds=30))
    breaker.note("ill", now=0)
    why = breaker.why
    for reason in ("", "late"):
        breaker.note(reason, now=29)
        assert (breaker.why, breaker.pause_seconds(29)) == (why, 1)


def test_the_first_that_lives_after_the_pause_closes_it_and_the_past_is_forgotten() -> None:
    breaker = Breaker(BreakerPolicy(window=2, dead_share=0.5, pause_seconds=30))
    breaker.note("ill", now=0)
    breaker.note("ill", now=0)
    assert breaker.pause_seconds(30) == 0
    assert not breaker.is_closed
    breaker.note("", now=30)
    assert breaker.is_closed
    assert breaker.why == ""
    breaker.note("ill", now=30)
    assert breaker.is_closed, "one outcome is no full window"
    breaker.note("", now=30)
    assert not breaker.is_closed


def test_the_first_that_dies_after_the_pause_opens_it_again() -> None:
    breaker = Breaker(BreakerPolicy(window=1, pause_seconds=30))
    breaker.note("ill", now=0)
    breaker.note("late", now=31)
    assert breaker.pause_seconds(31) == 30
    assert breaker.why == "the message that was tried died, too: late; nothing is taken for 30 s"


@settings(deadline=None)
@given(
    outcomes=st.lists(st.sampled_from(["", "ill", "late"]), max_size=80),
    window=st.integers(1, 12),
    share=st.floats(0.01, 1),
)
def test_it_opens_at_the_first_full_window_with_the_share_and_not_before(
    outcomes: list[str], window: int, share: float
) -> None:
    breaker = Breaker(BreakerPolicy(window, share, 30))
    last: deque[str] = deque(maxlen=window)
    for reason in outcomes:
        breaker.note(reason, now=0)
        last.append(reason)
        dead = sum(reason != "" for reason in last)
        assert breaker.is_closed == (len(last) < window or dead < share * window)
        if not breaker.is_closed:
            assert breaker.why.startswith(f"{dead} of the last {window} died")
            return


@settings(deadline=None)
@given(
    runs=st.lists(st.tuples(st.sampled_from(["", "ill"]), st.integers(1, 30)), max_size=10),
    window=st.integers(1, 12),
    share=st.floats(0.01, 1),
)
def test_several_that_ended_alike_count_as_each_of_them(
    runs: list[tuple[str, int]], window: int, share: float
) -> None:
    together, single = (Breaker(BreakerPolicy(window, share, 30)) for _ in range(2))
    for reason, count in runs:
        together.note(reason, 0, count)
        for _ in range(count):
            single.note(reason, 0)
        assert together.is_closed == single.is_closed
        assert bool(together.why) == bool(single.why)


class Listener(BusObserver):
    """Notes when a consumer is paused."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def paused(self, topic: str, group: str, why: str) -> None:
        assert (topic, group) == ("pings", GROUP)
        self.said.append(why)

    def resumed(self, topic: str, group: str) -> None:
        assert (topic, group) == ("pings", GROUP)
        self.said.append("resumed")


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def bus(desk: Any, listener: Listener) -> Bus:
    """As the desk's, with an observer."""
    return Bus.connect(BusConfig(url=desk.url), listener)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.001)


async def die(_message: Any) -> Dead:
    return Dead("ill")


async def test_a_consumer_whose_messages_die_takes_no_more_and_says_why(
    desk: Any, bus: Bus, listener: Listener, topic: Any, ping: Any, recorder: Any
) -> None:
    handler = recorder(die)
    await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(20)])
    options = {"breaker": ALL_OF_FOUR, "batch": 1, "concurrency": 1}
    async with bus, desk.consuming(topic, handler, bus=bus, **options) as subscription:
        await until(lambda: subscription.state == "paused")
        assert subscription.why_paused == (
            "4 of the last 4 died: 4 ill; nothing is taken for 3600 s"
        )
        assert listener.said == [subscription.why_paused]
        await desk.bus.publish(topic, ping(text="late"))
        await until(lambda: subscription.in_flight == 0)
        for _ in range(10):
            lag = await desk.lag(topic)
            assert (lag.waiting, lag.pending, lag.dead) == (17, 0, 4)
            await asyncio.sleep(0.01)
    assert handler.texts == ["0", "1", "2", "3"]
    assert listener.said[1:] == []


async def test_what_was_pending_when_it_opened_is_handled_and_nothing_else(
    desk: Any, bus: Bus, listener: Listener, topic: Any, ping: Any, recorder: Any
) -> None:
    handler = recorder(die)
    await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(40)])
    async with (
        bus,
        desk.consuming(
            topic, handler, bus=bus, breaker=ALL_OF_FOUR, batch=10, concurrency=1
        ) as subscription,
    ):
        await until(lambda: subscription.state == "paused" and subscription.in_flight == 0)
        lag = await desk.lag(topic)
    assert 4 <= len(handler.seen) <= 20
    assert (lag.waiting, lag.pending, lag.dead) == (40 - lag.dead, 0, len(handler.seen))
    assert len(listener.said) == 1


async def test_one_message_at_a_time_is_tried_until_one_lives_and_nothing_is_dropped(
    desk: Any, bus: Bus, listener: Listener, topic: Any, ping: Any, recorder: Any
) -> None:
    healthy, at_work, most_at_work = False, 0, 0

    async def judge(_message: Any) -> Dead | None:
        nonlocal at_work, most_at_work
        at_work += 1
        if len(listener.said) == 2:  # it was tried once already
            most_at_work = max(most_at_work, at_work)
        await asyncio.sleep(0.002)
        at_work -= 1
        return None if healthy else Dead("ill")

    handler = recorder(judge)
    await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(100)])
    async with (
        bus,
        desk.consuming(
            topic, handler, bus=bus, breaker=SOON, batch=4, concurrency=4
        ) as subscription,
    ):
        await until(lambda: len(listener.said) == 2)
        assert subscription.state == "paused"
        healthy = True
        await handler.has(100)
        lag = await desk.settled(topic)
        assert (subscription.state, subscription.why_paused) == ("running", "")
    assert most_at_work == 1
    assert listener.said[0].startswith("4 of the last 4 died")
    assert listener.said[1].startswith("the message that was tried died, too: ill")
    assert listener.said[-1] == "resumed"
    assert listener.said.count("resumed") == 1
    assert sorted(handler.texts, key=int) == [str(i) for i in range(100)]
    assert 4 <= lag.dead < 100


async def test_retries_and_good_messages_do_not_open_it(
    desk: Any, bus: Bus, listener: Listener, topic: Any, ping: Any, recorder: Any
) -> None:
    async def judge(message: Any) -> Retry | None:
        return Retry(0) if message.attempt <= 3 else None

    handler = recorder(judge)
    await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(10)])
    async with bus, desk.consuming(topic, handler, bus=bus, breaker=ALL_OF_FOUR):
        await handler.has(40)
        await desk.settled(topic)
    assert listener.said == []


async def test_entries_that_cannot_be_read_open_it_too(
    desk: Any, bus: Bus, listener: Listener, topic: Any, recorder: Any
) -> None:
    junk = [{b"junk": str(i).encode()} for i in range(10)]
    await desk.bus._backend.append(keys_of(topic), 0, junk, None)
    options = {"breaker": ALL_OF_FOUR, "batch": 1, "concurrency": 1}
    async with bus, desk.consuming(topic, recorder(), bus=bus, **options) as subscription:
        await until(lambda: subscription.state == "paused" and subscription.in_flight == 0)
        lag = await desk.lag(topic)
    assert (lag.waiting, lag.dead) == (6, 4)
    assert "4 invalid-envelope" in listener.said[0]


@pytest.mark.parametrize(
    ("dead", "paused"), [({90, 92, 94, 96, 98}, True), ({0, 1, 2, 3, 50}, False)]
)
async def test_of_a_batch_each_message_counts_in_its_order(
    desk: Any, bus: Bus, listener: Listener, topic: Any, ping: Any, dead: set[int], paused: bool
) -> None:
    handled = asyncio.Event()

    async def judge(batch: Batch[Any]) -> Mapping[int, Outcome]:
        assert len(batch) == 100
        handled.set()
        return {at: Dead("ill") for at in dead}

    await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(100)])
    policy, stop = BreakerPolicy(window=10, dead_share=0.5, pause_seconds=3600), asyncio.Event()
    async with asyncio.timeout(30), bus:
        subscription = bus.subscribe_batches(topic, GROUP, judge, batch=100, breaker=policy)
        running = asyncio.create_task(subscription.run(stop))
        await handled.wait()
        lag = await desk.settled(topic)
        assert subscription.state == ("paused" if paused else "running")
        stop.set()
        await running
    assert lag.dead == 5
    assert len(listener.said) == paused


async def test_a_stop_ends_a_paused_consumer_at_once_and_leaves_the_rest_to_others(
    desk: Any, bus: Bus, topic: Any, ping: Any, recorder: Any
) -> None:
    sick, well = recorder(die), recorder()
    await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(10)])
    options = {"breaker": ALL_OF_FOUR, "batch": 1, "concurrency": 1}
    async with asyncio.timeout(30), bus:
        async with desk.consuming(topic, sick, bus=bus, **options) as subscription:
            await until(lambda: subscription.state == "paused")
        assert subscription.state == "stopped"
        async with desk.consuming(topic, well):
            await well.has(6)
            await desk.settled(topic)
    assert sick.texts + well.texts == [str(i) for i in range(10)]
