"""Frames whose bodies are compressed: when they are, and what becomes of a broken one."""

import secrets
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdesk.bus import Dead, Retry
from streamdesk.bus.envelope import CodecError, Fields, compressed, expanded
from streamdesk.bus.publishing.encoding import encode_frame
from streamdesk.bus.topic_keys import keys_of
from streamdesk.contracts.base import Event

LONG = "a word and a word and a word " * 100


class Note(Event):
    text: str


@settings(deadline=None)
@given(body=st.binary(max_size=10_000))
def test_what_was_compressed_comes_back_as_it_was(body: bytes) -> None:
    assert expanded(compressed(body)) == body


@settings(deadline=None)
@given(body=st.binary(min_size=1, max_size=1000), data=st.data())
def test_a_compressed_body_that_ends_early_is_refused(body: bytes, data: st.DataObject) -> None:
    packed = compressed(body)
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(CodecError):
        expanded(packed[:cut])


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff" * 100, b'[{"text":"x"}]'])
def test_what_is_not_zstd_is_refused(body: bytes) -> None:
    with pytest.raises(CodecError):
        expanded(body)


def test_what_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamdesk.bus.envelope.LARGEST_BODY_BYTES", 1000)
    assert expanded(compressed(b"x" * 1000)) == b"x" * 1000
    bomb = compressed(b"x" * 1_000_000)
    assert len(bomb) < 200
    with pytest.raises(CodecError, match="does not end where it should"):
        expanded(bomb)


@settings(deadline=None)
@given(
    texts=st.lists(st.text(max_size=50) | st.just(LONG), min_size=1, max_size=20),
    above=st.none() | st.integers(0, 3000),
)
def test_a_frame_is_compressed_only_above_its_size_and_when_that_makes_it_smaller(
    texts: list[str], above: int | None
) -> None:
    bodies = [Note(text=text).model_dump_json().encode() for text in texts]
    plain = encode_frame(Note, bodies, "")[b"b"]
    fields = encode_frame(Note, bodies, "", above)
    pays = len(compressed(plain)) < len(plain)
    if above is not None and len(plain) > above and pays:
        assert fields[b"z"] == b"zstd"
        assert len(fields[b"b"]) < len(plain)
        assert expanded(fields[b"b"]) == plain
    else:
        assert b"z" not in fields
        assert fields[b"b"] == plain


async def stored(desk: Any, topic: Any) -> list[Fields]:
    key = keys_of(topic).streams[0]
    rows = await desk.bus._backend.read_range(key, "0", "9" * 15, 100)
    return [fields for _, fields in rows]


@pytest.fixture
def topic(make_topic: Any) -> Any:
    return make_topic(mode="frame", compress_above_bytes=1000)


async def test_every_reader_sees_compressed_events_as_they_were(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    expected = [f"{number} {LONG}" for number in range(20)]
    handler = recorder()
    await desk.bus.publish_many(topic, [ping(text=text) for text in expected[:10]])
    async with desk.bus.producer(topic) as producer:
        for text in expected[10:]:
            await producer.send(ping(text=text))
    assert [fields[b"z"] for fields in await stored(desk, topic)] == [b"zstd"] * 2
    waiting = await desk.bus.waiting(topic, "workers", 100)
    assert [message.event.text for message in waiting] == expected
    tail = desk.bus.tail(topic, since="0")
    assert [(await anext(tail)).event.text for _ in expected] == expected
    await tail.aclose()
    replayed = [message.event.text async for message in desk.bus.replay(topic, "0")]
    assert replayed == expected
    async with desk.consuming(topic, handler, concurrency=1):
        await handler.has(20)
        lag = await desk.settled(topic)
    assert handler.texts == expected
    assert lag.dead == 0


async def test_small_frames_and_those_that_do_not_shrink_stay_as_they_are(
    desk: Any, topic: Any, ping: Any
) -> None:
    await desk.bus.publish(topic, ping(text="small"))
    await desk.bus.publish(topic, ping(text=secrets.token_urlsafe(50)))
    await desk.bus.publish_many(topic, [ping(text=LONG)])
    assert [b"z" in fields for fields in await stored(desk, topic)] == [False, False, True]


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({b"z": b"lz4"}, "expected 'zstd'"),
        ({b"b": b"[]"}, "is not zstd"),
        ({b"b": compressed(LONG.encode())[:-5]}, "is not zstd"),
        ({b"b": compressed(b"x" * 10_000)}, "when expanded"),
    ],
    ids=["unknown codec", "not compressed", "cut off", "bomb"],
)
async def test_a_body_that_cannot_be_expanded_is_dead_and_stops_no_consumer(
    desk: Any,
    topic: Any,
    ping: Any,
    recorder: Any,
    changes: Fields,
    detail: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streamdesk.bus.envelope.LARGEST_BODY_BYTES", 5000)
    bodies = [ping(text=LONG).model_dump_json().encode()]
    broken = encode_frame(ping, bodies, "", 0) | changes
    await desk.bus._backend.append(keys_of(topic), 0, [broken], None)
    await desk.bus.publish_many(topic, [ping(text=LONG)])
    handler = recorder()
    async with desk.consuming(topic, handler):
        await handler.has(1)
        await desk.settled(topic)
    (dead,) = await desk.bus.dead(topic)
    assert dead.letter.reason == "invalid-envelope"
    assert detail in dead.letter.detail
    assert dead.original == broken
    assert handler.texts == [LONG]


async def test_a_member_of_a_compressed_frame_is_retried_and_put_aside_readable(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    async def fail_once(message: Any) -> Retry | Dead | None:
        if message.event.text == "dead":
            return Dead("ill")
        return Retry(0) if message.attempt == 1 else None

    texts, handler, healed = [LONG, "again", "dead"], recorder(fail_once), recorder()
    await desk.bus.publish_many(topic, [ping(text=text) for text in texts])
    async with desk.consuming(topic, handler):
        await handler.has(5)
        await desk.settled(topic)
    assert sorted(handler.texts) == sorted([LONG, LONG, "again", "again", "dead"])
    (dead,) = await desk.bus.dead(topic)
    assert dead.letter.body == '{"text":"dead","score":0.0}'
    assert b"z" not in dead.original
    assert (await desk.bus.redrive(topic)).redriven == 1
    async with desk.consuming(topic, healed):
        await healed.has(1)
    assert healed.texts == ["dead"]
