import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdesk.contracts import Event
from streamdesk.contracts import topics as t
from streamdesk.contracts.channels import (
    ROOTS,
    channels_of,
    is_channel,
    parent_of,
    with_parents,
)
from streamdesk.contracts.events import NewsFetched

MODELS: list[type[Event]] = list(
    dict.fromkeys(model for topic in t.TOPICS for model in topic.models)
)
EXPECTED = {
    "BarClosed": ("events:market:AAPL.US", "events:market"),
    "SignalGenerated": ("events:signals:AAPL.US", "events:signals"),
    "OrderFilled": ("events:orders:AAPL.US", "events:orders"),
    "PortfolioValued": ("events:orders",),
    "RiskAlerted": ("events:system",),
    "StrategyUpdated": ("events:system",),
    "SystemEvent": ("events:system",),
    "TaskProgressed": ("events:task:warm-up-7f3a", "events:tasks"),
    "StockIndicatorsCompleted": (
        "events:indicators:AAPL.US",
        "events:task:warm-up-7f3a",
        "events:indicators",
        "events:tasks",
    ),
    "HamaChanged": ("events:indicators:BTCUSDT", "events:indicators"),
    "NewsFiltered": ("events:news:AAPL.US", "events:news"),
}


def example(model: type[Event]) -> Event:
    return model.decode(
        model.version, json.dumps(model.model_json_schema()["examples"][0]).encode()
    )


@pytest.mark.parametrize("model", MODELS)
def test_every_event_is_seen_on_a_channel_and_on_its_parents(model: type[Event]) -> None:
    channels = channels_of(example(model))
    assert channels
    assert len(set(channels)) == len(channels)
    assert all(is_channel(channel) for channel in channels)
    parents = {parent_of(channel) for channel in channels} - {None}
    assert parents <= set(channels)
    assert channels == EXPECTED.get(model.type_name(), channels)


def test_news_about_several_instruments_is_seen_on_each_and_once_on_the_parent() -> None:
    article = example(NewsFetched).model_copy(update={"symbols": ("AAPL.US", "700.HK")})
    assert channels_of(article) == ("events:news:AAPL.US", "events:news:700.HK", "events:news")


def test_news_about_no_instrument_is_seen_on_the_parent() -> None:
    article = example(NewsFetched).model_copy(update={"symbols": ()})
    assert channels_of(article) == ("events:news",)


@pytest.mark.parametrize("root", ROOTS)
def test_a_root_has_no_parent(root: str) -> None:
    assert is_channel(root)
    assert parent_of(root) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "events",
        "events:",
        "events:task:",
        "events:indicators:",
        "events:indicators:A B",
        "events:nope",
        "events:system:x",
        "user:",
        "user:a b",
    ],
)
def test_what_is_not_in_the_tree_cannot_be_named(name: str) -> None:
    assert not is_channel(name)


def test_a_user_has_a_channel_without_a_parent() -> None:
    assert is_channel("user:anna@desk")
    assert parent_of("user:anna@desk") is None


@given(
    st.lists(st.sampled_from([*ROOTS, "events:task:a", "events:indicators:BTCUSDT", "user:anna"]))
)
def test_parents_are_added_once_and_nothing_is_lost(names: list[str]) -> None:
    found = with_parents(tuple(names))
    assert set(names) <= set(found)
    assert len(set(found)) == len(found)
    assert with_parents(found) == found
