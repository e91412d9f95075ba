"""Small parts of the bus on their own."""

import re
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdesk.bus import Bus, BusConfig, BusConfigError, BusObserver, RetryPolicy, Tracer
from streamdesk.bus.dead_letters.letters import error_chain
from streamdesk.bus.envelope import new_id
from streamdesk.bus.topic_keys import keys_of, partitions_of, shard_keys, shard_of


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"url": "http://localhost"}, "scheme 'http'"),
        ({"lease_seconds": 0}, "lease_seconds is 0"),
        ({"socket_timeout_seconds": -1}, "socket_timeout_seconds is -1"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_its_value(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BusConfigError, match=re.escape(message)):
        BusConfig(**changes)


@given(retry=st.integers(1, 1000), chance=st.floats(0, 1))
def test_a_retry_waits_between_half_and_all_of_its_step(retry: int, chance: float) -> None:
    policy = RetryPolicy(base_seconds=0.5, cap_seconds=30)
    step = min(30.0, 0.5 * 2 ** min(retry - 1, 60))
    assert step / 2 <= policy.delay_seconds(retry, chance) <= step


@given(now=st.integers(0, 2**48 - 1))
def test_event_ids_are_version_seven_uuids_that_carry_their_time(now: int) -> None:
    parsed = uuid.UUID(new_id(now * 1_000_000 + 999_999))
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == now


def test_event_ids_differ_within_a_millisecond() -> None:
    assert len({new_id(1_000_000) for _ in range(1000)}) == 1000


def test_the_ids_of_one_publisher_sort_in_the_order_of_publication() -> None:
    assert new_id(1_000_000) < new_id(1_000_300) < new_id(2_000_000)


def test_the_classes_of_a_topic_share_one_hash_tag(priority_topic: Any) -> None:
    topic_keys = keys_of(priority_topic)
    assert topic_keys.streams[0] == f"{{{priority_topic.key}}}:100"
    assert (
        len({key.partition("}")[0] for key in (*topic_keys.streams, topic_keys.delayed("g"))}) == 1
    )


def test_the_lowest_class_has_nothing_below_it(priority_topic: Any) -> None:
    topic_keys = keys_of(priority_topic)
    last = len(topic_keys.streams) - 1
    assert topic_keys.one_class_down(last) == last


def test_a_shards_keys_share_its_hash_tag_and_not_that_of_the_others(make_topic: Any) -> None:
    topic = make_topic(shards=3)
    whole, parts = keys_of(topic), partitions_of(topic)
    assert whole.streams == tuple(f"{{{topic.key}:{number}}}" for number in range(3))
    assert [part.streams for part in parts] == [(key,) for key in whole.streams]
    assert [part.first for part in parts] == [0, 1, 2]
    for part in parts:
        helpers = (part.delayed("g"), part.scheduled, part.cursors("g"), part.once("id"))
        assert {key.partition("}")[0] + "}" for key in helpers} == {part.streams[0]}
    assert shard_keys(topic, 2) == parts[2]


def test_a_topic_without_shards_is_one_part(priority_topic: Any) -> None:
    assert partitions_of(priority_topic) == (keys_of(priority_topic),)


def test_a_retry_stays_in_its_shard(make_topic: Any) -> None:
    assert keys_of(make_topic(shards=3)).one_class_down(1) == 1


@pytest.mark.parametrize(("key", "shard"), [("", 0), ("AAPL.US", 1), ("700.HK", 14), ("ÄÖÜ.DE", 8)])
def test_a_key_stays_in_its_shard_permanently(key: str, shard: int) -> None:
    assert shard_of(key, 16) == shard


def test_keys_spread_over_all_shards() -> None:
    shards = [shard_of(f"SYM{number}.US", 8) for number in range(800)]
    assert {shards.count(shard) // 50 for shard in range(8)} <= {1, 2}


def test_an_error_chain_names_the_causes_but_not_what_was_suppressed() -> None:
    def fail() -> None:
        try:
            raise KeyError("inner")
        except KeyError:
            raise ValueError("outer") from None

    with pytest.raises(ValueError, match="outer") as caught:
        fail()
    assert error_chain(caught.value) == ("ValueError: outer",)


async def test_a_tail_from_nowhere_is_refused(topic: Any) -> None:
    async with Bus.connect(BusConfig(url="memory://units")) as bus:
        with pytest.raises(BusConfigError, match="yesterday"):
            await anext(bus.tail(topic, since="yesterday"))


async def test_an_observer_overrides_what_it_needs_and_ignores_the_rest(
    topic: Any, ping: Any
) -> None:
    class Published(BusObserver):
        def __init__(self) -> None:
            self.count = 0

        def published(self, topic: str, count: int) -> None:  # noqa: ARG002 - it counts all topics
            self.count += count

    class Named(Tracer):
        def inject(self) -> str:
            return "never asked: it is off"

    observer = Published()
    async with Bus.connect(BusConfig(url="memory://override"), observer, Named()) as bus:
        await bus.publish(topic, ping(text="one"))
        assert (await bus.lag(topic))[0].length == 1
    assert observer.count == 1
