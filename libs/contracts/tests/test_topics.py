import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdesk.contracts import Event, Topic
from streamdesk.contracts import topics as t
from streamdesk.contracts.events import Side, SignalGenerated
from streamdesk.contracts.events.signals import EXIT_CLASS

SIGNAL: dict[str, Any] = SignalGenerated.model_json_schema()["examples"][0]


def signal(priority: int) -> SignalGenerated:
    return SignalGenerated.decode(2, json.dumps(SIGNAL | {"priority": priority}).encode())


def test_no_two_topics_share_a_name_or_a_key() -> None:
    assert len({topic.name for topic in t.TOPICS}) == len(t.TOPICS)
    assert len({topic.key for topic in t.TOPICS}) == len(t.TOPICS)
    assert {topic.dead_key for topic in t.TOPICS}.isdisjoint(topic.key for topic in t.TOPICS)


def test_a_topic_is_found_by_its_name() -> None:
    assert t.BY_NAME["signals"] is t.TRADING_SIGNALS
    assert list(t.BY_NAME.values()) == list(t.TOPICS)


@pytest.mark.parametrize("topic", t.TOPICS, ids=lambda topic: topic.name)
def test_every_topic_has_events_a_producer_and_a_consumer(topic: Topic[Event]) -> None:
    assert topic.models
    assert topic.producers
    assert topic.consumers
    assert topic.about.endswith(".")


@pytest.mark.parametrize("topic", t.TOPICS, ids=lambda topic: topic.name)
def test_the_fields_a_topic_names_exist_in_all_its_events(topic: Topic[Event]) -> None:
    named = {topic.key_field, topic.class_field} - {None}
    for model in topic.models:
        properties = {name for name, value in vars(model).items() if isinstance(value, property)}
        assert named <= {*model.model_fields, *properties}


def test_the_five_names_of_the_event_bus_interface_are_aliases() -> None:
    keys = [
        t.MARKET_DATA.key,
        t.TRADING_SIGNAL.key,
        t.RISK_ALERT.key,
        t.STRATEGY_UPDATE.key,
        t.SYSTEM_EVENT.key,
    ]
    assert keys == [
        "market:bars",
        "trading:signals",
        "trading:risk",
        "strategy:updates",
        "system:events",
    ]


def test_an_event_is_keyed_by_what_it_is_about() -> None:
    assert t.TRADING_SIGNALS.key_of(signal(60)) == "AAPL.US"
    assert t.TRADING_ORDERS.key_of(signal(60)) == ""


@given(st.integers(0, 100))
def test_a_priority_falls_into_the_class_below_it(priority: int) -> None:
    assert t.TRADING_SIGNALS.class_of(signal(priority)) == priority // 10 * 10


@given(st.integers(0, 100))
def test_a_signal_that_exits_has_a_class_above_every_entry(priority: int) -> None:
    leaves = signal(priority).model_copy(update={"side": Side.SELL})
    assert t.TRADING_SIGNALS.class_of(leaves) == EXIT_CLASS
    assert t.TRADING_SIGNALS.class_of(signal(100)) < EXIT_CLASS  # type: ignore[operator] # it has one
    assert "queue_class" not in leaves.model_dump(), "it follows from the side: it does not travel"


def test_exits_have_as_much_room_as_the_entries_whatever_the_limit() -> None:
    topic = t.TRADING_SIGNALS.configured(max_backlog=7)
    assert (topic.limit_of(EXIT_CLASS), topic.limit_of(100), topic.limit_of(None)) == (14, 7, 7)
    assert t.NEWS_RAW.limit_of(None) is None


def test_a_topic_without_classes_has_no_class() -> None:
    assert t.MARKET_BARS.class_of(signal(60)) is None


def test_a_daily_run_that_is_resumed_within_a_day_publishes_nothing_twice() -> None:
    assert t.TASKS.dedup_window_seconds == 24 * 3600


@pytest.mark.parametrize("topic", [t.TRADING_ORDERS, t.TRADING_RISK])
def test_what_a_killed_executor_published_is_ignored_when_another_publishes_it_again(
    topic: Topic[Any],
) -> None:
    assert topic.dedup_window_seconds == 24 * 3600


def test_bars_without_a_recorder_do_not_fill_the_server() -> None:
    assert t.MARKET_BARS.groups == ()


def test_the_groups_of_a_topic_are_those_that_must_have_every_entry() -> None:
    assert t.TRADING_SIGNALS.groups == ("order-executors",)
    assert t.STRATEGY_UPDATES.groups == ()


def test_a_key_that_is_set_takes_the_dead_letters_along() -> None:
    topic = t.NEWS_RAW.configured(key="desk2:news", max_backlog=5)
    assert (topic.key, topic.dead_key, topic.max_backlog) == ("desk2:news", "desk2:news:dead", 5)
    assert topic.models == t.NEWS_RAW.models


def test_a_limit_alone_leaves_the_key() -> None:
    topic = t.TRADING_SIGNALS.configured(max_backlog=5)
    assert (topic.key, topic.max_backlog) == ("trading:signals", 5)
    assert t.TRADING_SIGNALS.max_backlog == 1_000


def test_naming_a_topics_own_key_moves_nothing() -> None:
    assert t.NEWS_RAW.configured(key=t.NEWS_RAW.key) == t.NEWS_RAW


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shards": 0}, "shards is 0"),
        ({"reserved_class": 5}, "reserved_class=5; expected the highest of ()"),
        (
            {"reserved_class": 5, "classes": (0, 9)},
            "reserved_class=5; expected the highest of (0, 9)",
        ),
        ({"shards": 4, "key_field": "symbol", "classes": (0, 50)}, "shards=4 and classes=(0, 50)"),
        ({"shards": 4}, "shards=4 without a key_field"),
        ({"dedup_window_seconds": 0.0}, "dedup_window_seconds is 0.0"),
        ({"dedup_window_seconds": 5.0, "mode": "frame"}, "dedup_window_seconds=5.0 with mode"),
        ({"keep": 50, "hard_cap": 50}, "keep=50 with hard_cap=50"),
        ({"compress_above_bytes": -1, "mode": "frame"}, "compress_above_bytes is -1"),
        ({"compress_above_bytes": 10}, "compress_above_bytes=10 with mode='entry'"),
    ],
)
def test_settings_of_a_topic_that_contradict_each_other_are_refused_with_their_values(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as refusal:
        Topic(name="odd", key="o", models=(), about="Odd.", dead_key="o:dead", **changes)
    assert "topic 'odd'" in str(refusal.value)


def test_every_contradiction_of_a_topic_is_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"shards is -1.*hard_cap=1") as refusal:
        replace(t.NEWS_RAW, shards=-1, hard_cap=1)
    assert t.NEWS_RAW.name in str(refusal.value)


def test_a_limit_that_is_set_keeps_the_other_settings() -> None:
    topic = replace(t.NEWS_RAW, shards=3, durable=True, hard_cap=20_000)
    changed = topic.configured(key="desk2:news", max_backlog=5)
    assert (changed.shards, changed.durable, changed.hard_cap) == (3, True, 20_000)
