"""Which dead letters go back, how fast, and how often."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streamdesk.bus import BreakerPolicy, BusConfigError, Dead, DeadFilter
from streamdesk.bus.topic_keys import keys_of, shard_of

GROUP = "workers"


@pytest.fixture
def kill(desk: Any, recorder: Any) -> Any:
    """Publish events and let them die, each of the reason that its text begins with."""

    async def judge(message: Any) -> Dead:
        return Dead(message.event.text.partition(" ")[0], f"detail of {message.event.text}")

    async def do(topic: Any, ping: Any, *texts: str) -> None:
        handler = recorder(judge)
        patient = BreakerPolicy(window=1_000_000)
        async with desk.consuming(topic, handler, concurrency=1, breaker=patient):
            await desk.bus.publish_many(topic, [ping(text=text) for text in texts])
            await handler.has(len(texts))
            await desk.settled(topic)

    return do


def bodies(letters: Any) -> list[str]:
    return [stored.letter.body.split('"')[3] for stored in letters]


async def test_letters_are_chosen_by_reason_group_type_and_text(
    desk: Any, topic: Any, ping: Any, kill: Any
) -> None:
    await kill(topic, ping, "ill 1", "lost 2", "ill 3")

    async def found(**where: Any) -> list[str]:
        return bodies(await desk.bus.dead(topic, where=DeadFilter(**where)))

    assert await found() == ["ill 1", "lost 2", "ill 3"]
    assert await found(reason="ill") == ["ill 1", "ill 3"]
    assert await found(reason="ill", contains="ill 3") == ["ill 3"]
    assert await found(contains="detail of lost") == ["lost 2"]
    assert await found(group=GROUP, event_type="Ping") == ["ill 1", "lost 2", "ill 3"]
    assert await found(group="others") == []
    assert await found(event_type="Pong") == []


async def test_letters_are_chosen_by_when_they_died(
    desk: Any, topic: Any, ping: Any, kill: Any
) -> None:
    await kill(topic, ping, "ill 1", "ill 2")
    (_, second) = await desk.bus.dead(topic)
    at = second.letter.dead_at
    later = await desk.bus.dead(topic, where=DeadFilter(since=at))
    earlier = await desk.bus.dead(topic, where=DeadFilter(until=at))
    assert (bodies(earlier), bodies(later)) == (["ill 1"], ["ill 2"])
    hour = timedelta(hours=1)
    assert await desk.bus.dead(topic, where=DeadFilter(since=at + hour)) == []


async def test_the_limit_counts_letters_that_fit(
    desk: Any, topic: Any, ping: Any, kill: Any
) -> None:
    await kill(topic, ping, *(f"{'ill' if i % 2 else 'lost'} {i}" for i in range(10)))
    found = await desk.bus.dead(topic, 2, DeadFilter(reason="ill"))
    assert bodies(found) == ["ill 1", "ill 3"]


async def test_letters_beyond_the_first_page_are_found(
    desk: Any, topic: Any, ping: Any, kill: Any
) -> None:
    await kill(topic, ping, *(f"ill {i}" for i in range(1_100)))
    assert len(await desk.bus.dead(topic, 5_000)) == 1_100
    assert bodies(await desk.bus.dead(topic, where=DeadFilter(contains="ill 1099"))) == ["ill 1099"]
    assert await desk.bus.purge_dead(topic) == 1_100
    assert (await desk.lag(topic)).dead == 0


async def test_only_the_letters_that_fit_go_back(
    desk: Any, topic: Any, ping: Any, kill: Any, recorder: Any
) -> None:
    await kill(topic, ping, "ill 1", "lost 2", "ill 3")
    report = await desk.bus.redrive(topic, where=DeadFilter(reason="ill"))
    assert (report.redriven, report.skipped) == (2, 0)
    assert bodies(report.letters) == ["ill 1", "ill 3"]
    assert bodies(await desk.bus.dead(topic)) == ["lost 2"]
    handler = recorder()
    async with desk.consuming(topic, handler):
        await handler.has(2)
    assert sorted(handler.texts) == ["ill 1", "ill 3"]


async def test_a_dry_run_says_what_would_go_and_moves_nothing(
    desk: Any, topic: Any, ping: Any, kill: Any
) -> None:
    await kill(topic, ping, "ill 1", "ill 2", "ill 3")
    report = await desk.bus.redrive(topic, limit=2, dry_run=True)
    assert (report.redriven, bodies(report.letters)) == (0, ["ill 1", "ill 2"])
    lag = await desk.lag(topic)
    assert (lag.dead, lag.waiting) == (3, 0)


async def test_a_letter_that_went_back_often_enough_is_skipped(
    desk: Any, topic: Any, ping: Any, kill: Any
) -> None:
    await kill(topic, ping, "ill old")
    assert (await desk.bus.redrive(topic, max_replays=1)).redriven == 1
    await kill(topic, ping, "ill new")
    report = await desk.bus.redrive(topic, max_replays=1)
    assert (report.redriven, report.skipped, bodies(report.letters)) == (1, 1, ["ill new"])
    (left,) = await desk.bus.dead(topic)
    assert (left.letter.replays, bodies([left])) == (1, ["ill old"])


async def test_letters_are_chosen_by_id_and_go_back_once(
    desk: Any, topic: Any, ping: Any, kill: Any
) -> None:
    await kill(topic, ping, "ill 1", "ill 2")
    (first, _) = await desk.bus.dead(topic)
    assert (await desk.bus.redrive(topic, [first.id, "1-1"])).redriven == 1
    assert (await desk.bus.redrive(topic, [first.id])).redriven == 0


async def test_a_letter_that_dies_again_at_once_is_left_for_the_next_call(
    desk: Any, topic: Any, ping: Any, kill: Any, recorder: Any
) -> None:
    async def die(_message: Any) -> Dead:
        return Dead("ill")

    await kill(topic, ping, "ill 1", "ill 2")
    async with desk.consuming(topic, recorder(die)):
        report = await desk.bus.redrive(topic, rate_per_second=20)
        assert report.redriven == 2
        await desk.settled(topic)
    assert {stored.letter.replays for stored in await desk.bus.dead(topic)} == {1}


async def test_letters_go_back_no_faster_than_asked(
    desk: Any, topic: Any, ping: Any, kill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    await kill(topic, ping, "ill 1", "ill 2", "ill 3")
    monkeypatch.setattr("streamdesk.bus.dead_letters.redrive.asyncio.sleep", note)
    assert (await desk.bus.redrive(topic, rate_per_second=0.001)).redriven == 3
    assert [round(wait, -2) for wait in waits] == [1_000, 2_000], "no sleep in between"


@pytest.mark.parametrize("rate", [0, -1.5])
async def test_a_rate_that_never_ends_is_refused(desk: Any, topic: Any, rate: float) -> None:
    with pytest.raises(BusConfigError, match=f"rate_per_second is {rate}"):
        await desk.bus.redrive(topic, rate_per_second=rate)


def test_a_filter_needs_times_with_a_zone() -> None:
    naive = datetime.now(UTC).replace(tzinfo=None)
    with pytest.raises(BusConfigError, match="without a time zone"):
        DeadFilter(since=naive)


async def test_a_letter_goes_back_to_the_shard_of_its_key(
    desk: Any, make_topic: Any, ping: Any, kill: Any
) -> None:
    topic = make_topic(shards=4)
    await kill(topic, ping, "ill AAPL.US")
    assert (await desk.bus.redrive(topic)).redriven == 1
    stream = keys_of(topic).streams[shard_of("ill AAPL.US", 4)]
    waiting = {row.key: row.waiting for row in (await desk.lag(topic)).streams}
    assert waiting == {key: int(key == stream) for key in keys_of(topic).streams}


async def test_a_frames_member_goes_back_to_the_shard_it_came_from(
    desk: Any, make_topic: Any, ping: Any, kill: Any
) -> None:
    topic = make_topic(shards=4, mode="frame")
    symbols = [f"ill {number}" for number in range(12)]
    await kill(topic, ping, *symbols)
    before = {row.key: row.length for row in (await desk.lag(topic)).streams}
    assert all(before.values()), "every shard has had a frame"
    assert (await desk.bus.redrive(topic)).redriven == len(symbols)
    for number, row in enumerate((await desk.lag(topic)).streams):
        here = sum(shard_of(symbol, 4) == number for symbol in symbols)
        assert row.length - before[row.key] == here
