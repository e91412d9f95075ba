"""One spelling inside, whichever comes in."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdesk.contracts import Event
from streamdesk.contracts import topics as t
from streamdesk.contracts.channels import canonical_channel, channels_of
from streamdesk.contracts.events import BarClosed
from streamdesk.contracts.symbols import canonical_symbol, is_instrument, is_share

MODELS: list[type[Event]] = list(
    dict.fromkeys(model for topic in t.TOPICS for model in topic.models)
)
WITH_SYMBOL = [model for model in MODELS if "symbol" in model.model_fields]


@st.composite
def spellings(draw: st.DrawFn) -> tuple[str, str]:
    """A symbol in our spelling, and in one that somebody else uses."""
    if draw(st.booleans()):
        code = str(draw(st.integers(1, 99_999)))
        ours, theirs = f"{code}.HK", f"{'0' * draw(st.integers(0, 4))}{code}.HK"
    else:
        letters = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=5)
        parts = [draw(letters)] + ([draw(letters)] if draw(st.booleans()) else [])
        ours, theirs = f"{'.'.join(parts)}.US", f"{draw(st.sampled_from('.-')).join(parts)}.US"
    return ours, draw(st.sampled_from([str.upper, str.lower, str.title]))(theirs)


@given(spellings())
def test_every_spelling_of_an_instrument_becomes_the_same_one(both: tuple[str, str]) -> None:
    ours, theirs = both
    assert canonical_symbol(theirs) == ours
    assert is_share(ours)


@given(st.text(max_size=80))
def test_spelling_twice_changes_nothing_more(text: str) -> None:
    once = canonical_symbol(text)
    assert canonical_symbol(once) == once


@given(st.text(max_size=80))
def test_what_is_no_symbol_does_not_become_one_by_its_spelling_alone(text: str) -> None:
    spelled = canonical_symbol(text)
    if is_instrument(spelled):
        assert text.isascii()
        assert spelled.replace(".", "").lstrip("0") == (
            text.upper().replace("-", "").replace(".", "").lstrip("0")
        )


@pytest.mark.parametrize("symbol", ["0700.HK", "700.hk", "00700.HK", "brk-b.us", "BRK-B.US"])
@pytest.mark.parametrize("model", WITH_SYMBOL)
def test_every_event_has_its_symbol_in_one_spelling(model: type[Event], symbol: str) -> None:
    example: dict[str, Any] = dict(model.model_json_schema()["examples"][0], symbol=symbol)
    event = model.decode(model.version, json.dumps(example).encode())
    assert event.model_dump()["symbol"] == ("700.HK" if "7" in symbol else "BRK.B.US")


def test_the_key_of_an_entry_is_in_the_same_spelling() -> None:
    example: dict[str, Any] = dict(BarClosed.model_json_schema()["examples"][0], symbol="0700.hk")
    bar = BarClosed.model_validate(example)
    assert t.MARKET_BARS.key_of(bar) == "700.HK"
    assert channels_of(bar)[0] == canonical_channel("events:market:00700.hk")


@pytest.mark.parametrize(
    ("given_name", "channel"),
    [
        ("events:market:0700.hk", "events:market:700.HK"),
        ("events:signals:BRK-B.US", "events:signals:BRK.B.US"),
        ("events:indicators:btcusdt", "events:indicators:BTCUSDT"),
        ("events:orders:aapl.us", "events:orders:AAPL.US"),
        ("events:task:warm-up.us", "events:task:warm-up.us"),
        ("user:anna-b.us", "user:anna-b.us"),
        ("events:market:mine", "events:market:mine"),
        ("events:market", "events:market"),
        ("", ""),
    ],
)
def test_a_channel_of_an_instrument_is_known_by_any_spelling(given_name: str, channel: str) -> None:
    assert canonical_channel(given_name) == channel
