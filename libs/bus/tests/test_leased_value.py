"""A value that one of several replicas may change, alone or together with what it publishes."""

import secrets
from collections.abc import Callable
from typing import Any

import pytest

from streamdesk.bus import (
    Bus,
    BusConfig,
    BusConfigError,
    BusUnavailableError,
    LeasedValue,
    LeaseLostError,
    ServerFullError,
)
from streamdesk.bus.envelope import FRAME_EVENTS

LONG_SECONDS = 3600.0


@pytest.fixture
def frames(make_topic: Callable[..., Any]) -> Any:
    """A topic of frames that no group consumes."""
    return make_topic(mode="frame", consumers=(), keep=1_000)


@pytest.fixture
def name(frames: Any) -> str:
    return f"{{{frames.key}}}:feed"


def replica(desk: Any, name: str) -> LeasedValue:
    return LeasedValue(desk.bus.keys, name, LONG_SECONDS)


async def texts_on(desk: Any, topic: Any) -> list[str]:
    return [message.event.text async for message in desk.bus.replay(topic, since="0")]


async def test_of_two_replicas_one_leads_and_the_other_follows_it(desk: Any, name: str) -> None:
    first, second = replica(desk, name), replica(desk, name)
    assert await first.lead()
    assert not await second.lead()
    await first.write(b"1")
    assert await second.read() == b"1"
    with pytest.raises(LeaseLostError, match="not ours"):
        await second.write(b"2")
    await first.leave()
    assert await second.lead()
    assert (second.value, second.tenure) == (b"1", 2)


async def test_events_and_the_value_are_written_in_one_step(
    desk: Any, frames: Any, name: str, ping: Any
) -> None:
    leased = replica(desk, name)
    assert await leased.lead()
    count = FRAME_EVENTS + 1
    events = [ping(text=str(number)) for number in range(count)]
    ids = await desk.bus.publish_held(frames, events, leased, b"1")
    assert len(ids) == count
    assert len(set(ids)) == 2, "one id a frame"
    await desk.bus.publish_held(frames, [ping(text="next")], leased, b"2")
    assert await desk.bus.keys.get(name) == [b"2"]
    assert await texts_on(desk, frames) == [*map(str, range(count)), "next"]


async def test_a_replica_that_was_frozen_while_another_took_over_publishes_nothing(
    desk: Any, frames: Any, name: str, ping: Any
) -> None:
    frozen, heir = replica(desk, name), replica(desk, name)
    assert await frozen.lead()
    await desk.bus.publish_held(frames, [ping(text="one")], frozen, b"1")
    await desk.bus.keys.drop(f"{name}:lease")  # as its end would
    assert await heir.lead()
    assert frozen.leading, "it does not know"
    with pytest.raises(LeaseLostError):
        await desk.bus.publish_held(frames, [ping(text="late")], frozen, b"2")
    assert not frozen.leading
    await desk.bus.publish_held(frames, [ping(text="two")], heir, b"2")
    await heir.leave()
    assert await frozen.lead()
    assert frozen.value == b"2", "what the heir wrote is known before the next write"
    assert await texts_on(desk, frames) == ["one", "two"]


async def test_a_replica_whose_lease_ran_out_publishes_nothing_though_no_other_leads(
    desk: Any, frames: Any, name: str, ping: Any
) -> None:
    leased = replica(desk, name)
    assert await leased.lead()
    await desk.bus.keys.drop(f"{name}:lease")  # as its end would
    with pytest.raises(LeaseLostError):
        await desk.bus.publish_held(frames, [ping(text="late")], leased, b"1")
    assert await texts_on(desk, frames) == []


async def test_a_value_that_is_not_the_known_one_refuses_the_events(
    desk: Any, frames: Any, name: str, ping: Any
) -> None:
    leased = replica(desk, name)
    assert await leased.lead()
    await desk.bus.keys.put({name: b"other"})
    with pytest.raises(LeaseLostError):
        await desk.bus.publish_held(frames, [ping(text="late")], leased, b"1")
    assert await texts_on(desk, frames) == []
    assert await leased.lead()
    assert leased.value == b"other"


async def test_frames_beyond_what_the_topic_keeps_are_dropped(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(mode="frame", consumers=(), keep=10)
    leased = replica(desk, f"{{{topic.key}}}:feed")
    assert await leased.lead()
    for number in range(400):
        await desk.bus.publish_held(topic, [ping(text="x")], leased, b"%d" % number)
    assert (await desk.bus.lag(topic))[0].length < 400


async def test_a_topic_that_cannot_be_appended_to_in_one_step_is_refused(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    for topic in (make_topic(consumers=()), make_topic(mode="frame")):
        leased = replica(desk, f"{{{topic.key}}}:feed")
        assert await leased.lead()
        with pytest.raises(BusConfigError, match="expected frames and no group"):
            await desk.bus.publish_held(topic, [ping(text="x")], leased, b"1")


async def test_after_an_outage_the_value_says_whether_the_events_are_there(
    start_server: Callable[..., Any], make_topic: Any, ping: Any
) -> None:
    topic, server = make_topic(mode="frame", consumers=()), start_server()
    async with Bus.connect(BusConfig(url=server.url, service="test")) as bus:
        leased = LeasedValue(bus.keys, f"{{{topic.key}}}:feed", LONG_SECONDS)
        assert await leased.lead()
        await bus.publish_held(topic, [ping(text="one")], leased, b"1")
        server.stop()
        with pytest.raises(BusUnavailableError):
            await bus.publish_held(topic, [ping(text="two")], leased, b"2")
        assert not leased.leading, "what is written is not known"
        assert not await leased.lead()


async def test_a_full_server_takes_neither_events_nor_value(
    start_server: Callable[..., Any], make_topic: Any, ping: Any
) -> None:
    topic, server = make_topic(mode="frame", consumers=()), start_server()
    async with Bus.connect(BusConfig(url=server.url, service="test")) as bus:
        leased = LeasedValue(bus.keys, f"{{{topic.key}}}:feed-{secrets.token_hex(2)}", LONG_SECONDS)
        assert await leased.lead()
        server.ask("CONFIG", "SET", "maxmemory", 1)
        with pytest.raises(ServerFullError):
            await bus.publish_held(topic, [ping(text="one")], leased, b"1")
        server.ask("CONFIG", "SET", "maxmemory", 0)
        assert await leased.lead()
        assert leased.value is None
        await bus.publish_held(topic, [ping(text="one")], leased, b"1")
        assert [m.event.text async for m in bus.replay(topic, since="0")] == ["one"]
