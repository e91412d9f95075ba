import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdesk.contracts import (
    ContractError,
    Event,
    InvalidBodyError,
    UnknownEventError,
    UnknownVersionError,
)
from streamdesk.contracts import topics as t
from streamdesk.contracts.events import (
    BarClosed,
    HamaChanged,
    NewsFiltered,
    OrderFilled,
    OrderSubmitted,
    SignalGenerated,
    StockIndicatorsCompleted,
    TaskProgressed,
)

MODELS: list[type[Event]] = list(
    dict.fromkeys(model for topic in t.TOPICS for model in topic.models)
)


def example(model: type[Event], **changes: Any) -> bytes:
    body = model.model_json_schema()["examples"][0] | changes
    return json.dumps({name: value for name, value in body.items() if value is not ...}).encode()


@pytest.mark.parametrize("model", MODELS)
def test_every_example_validates_and_survives_the_wire(model: type[Event]) -> None:
    event = model.decode(model.version, example(model))
    assert model.decode(model.version, event.model_dump_json().encode()) == event


@pytest.mark.parametrize("model", MODELS)
def test_every_field_says_what_it_means(model: type[Event]) -> None:
    schema = model.model_json_schema()
    silent = [
        name
        for name, field in schema["properties"].items()
        if "description" not in field and "$ref" not in field
    ]
    assert silent == []


@pytest.mark.parametrize("model", MODELS)
def test_an_event_cannot_be_changed(model: type[Event]) -> None:
    event = model.decode(model.version, example(model))
    name = next(iter(model.model_fields))
    with pytest.raises(ValueError, match="frozen"):
        setattr(event, name, None)


@pytest.mark.parametrize(
    ("model", "changes", "complaint"),
    [
        (BarClosed, {"close": float("nan")}, "close: Input should be a finite number"),
        (BarClosed, {"close": float("inf")}, "close: Input should be a finite number"),
        (BarClosed, {"volume": -1}, "volume: Input should be greater than or equal to 0"),
        (BarClosed, {"open": 0}, "open: Input should be greater than 0"),
        (BarClosed, {"open": ...}, "open: Field required"),
        (BarClosed, {"high": 1}, "does not hold"),
        (BarClosed, {"timestamp": "2026-11-20T15:31:00"}, "timestamp: Input should have timezone"),
        (BarClosed, {"symbol": "AAPL"}, "symbol: String should match pattern"),
        (SignalGenerated, {"score": 100.1}, "score: Input should be less than or equal to 100"),
        (SignalGenerated, {"type": "MAYBE"}, "type: Input should be 'STRONG_BUY'"),
        (SignalGenerated, {"indicators": {"rsi": float("nan")}}, "indicators.rsi"),
        (OrderFilled, {"quantity": 0}, "quantity: Input should be greater than 0"),
        (OrderFilled, {"price": "NaN"}, "price: Input should be a finite number"),
        (NewsFiltered, {"link_hash": "short"}, "link_hash: String should match pattern"),
        (TaskProgressed, {"done": 13}, "done 13 is more than total 12"),
        (HamaChanged, {"state": "BULLISH"}, "state: Input should be 'bullish', 'bearish'"),
        (HamaChanged, {"previous_state": "up"}, "previous_state: Input should be 'bullish'"),
        (HamaChanged, {"score": -0.1}, "score: Input should be greater than or equal to 0"),
        (HamaChanged, {"score": 100.1}, "score: Input should be less than or equal to 100"),
        (HamaChanged, {"preset": "other"}, "preset: Input should be 'nsdt' or 'quantdinger'"),
        (HamaChanged, {"signal": "cross"}, "signal: Input should be 'cross-up', 'cross-down'"),
        (HamaChanged, {"close": float("nan")}, "close: Input should be a finite number"),
        (HamaChanged, {"interval_seconds": 0}, "interval_seconds: Input should be greater than 0"),
    ],
)
def test_a_value_out_of_bounds_is_a_typed_error_that_names_it(
    model: type[Event], changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidBodyError) as caught:
        model.decode(model.version, example(model, **changes))
    assert caught.value.reason == "invalid-body"
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"{}"])
@pytest.mark.parametrize("version", [1, 2])
def test_a_body_that_is_not_the_json_object_expected_is_a_typed_error(
    version: int, body: bytes
) -> None:
    with pytest.raises(InvalidBodyError, match="SignalGenerated has an invalid body"):
        SignalGenerated.decode(version, body)


@given(st.binary(max_size=200), st.integers(-1, 4))
def test_no_bytes_at_all_raise_anything_but_a_contract_error(body: bytes, version: int) -> None:
    for model in MODELS:
        with pytest.raises(ContractError):
            model.decode(version, body)


def test_an_unknown_type_is_a_typed_error_that_names_the_known_ones() -> None:
    with pytest.raises(UnknownEventError) as caught:
        t.TASKS.decode("TaskExploded", 1, b"{}")
    assert caught.value.reason == "unknown-event"
    assert str(caught.value) == (
        "event type 'TaskExploded' is not known on topic 'tasks'; known: TaskProgressed, "
        "StockIndicatorsCompleted, TaskCompleted"
    )


@pytest.mark.parametrize("version", [-1, 0, 3])
def test_a_version_that_no_upcaster_reaches_is_a_typed_error(version: int) -> None:
    with pytest.raises(UnknownVersionError) as caught:
        SignalGenerated.decode(version, example(SignalGenerated))
    assert caught.value.reason == "unknown-version"
    assert f"version {version} cannot be read here; current version: 2" in str(caught.value)


def test_a_version_1_signal_is_read_through_the_upcaster() -> None:
    body = example(SignalGenerated, reasons=["RSI 27.1 is oversold", "volume doubled"])
    signal = SignalGenerated.decode(1, body)
    assert [(r.indicator, r.contribution, r.text) for r in signal.reasons] == [
        ("unknown", 0.0, "RSI 27.1 is oversold"),
        ("unknown", 0.0, "volume doubled"),
    ]
    assert signal.model_dump(exclude={"reasons"}) == SignalGenerated.decode(
        2, example(SignalGenerated)
    ).model_dump(exclude={"reasons"})


@pytest.mark.parametrize("reasons", [..., 3, "RSI is low", {"a": 1}, [3]])
def test_a_version_1_signal_that_is_broken_is_a_typed_error(reasons: object) -> None:
    with pytest.raises(InvalidBodyError):
        SignalGenerated.decode(1, example(SignalGenerated, reasons=reasons))


def test_a_field_that_this_code_does_not_know_is_ignored() -> None:
    event = BarClosed.decode(1, example(BarClosed, trades=42))
    assert event == BarClosed.decode(1, example(BarClosed))


def test_money_keeps_every_digit() -> None:
    fill = OrderFilled.decode(1, example(OrderFilled, price="0.1000000000000000000001"))
    assert fill.price == Decimal("0.1000000000000000000001")
    assert '"0.1000000000000000000001"' in fill.model_dump_json()


@pytest.mark.parametrize("symbol", ["AAPL.US", "700.HK", "BRK.B.US", "BF.B.US", "9988.HK"])
def test_a_symbol_names_its_market(symbol: str) -> None:
    assert BarClosed.decode(1, example(BarClosed, symbol=symbol)).symbol == symbol


@pytest.mark.parametrize("symbol", ["", "AAPL", "aapl", "AAPL.LN", ".US", "A APL.US", "AAPL.US\n"])
def test_what_is_not_a_symbol_is_refused(symbol: str) -> None:
    with pytest.raises(InvalidBodyError, match="symbol"):
        BarClosed.decode(1, example(BarClosed, symbol=symbol))


@pytest.mark.parametrize(
    "symbol", ["BTCUSDT", "ETHBTC", "1INCHUSDC", "SOLEUR", "AAPL.US", "700.HK"]
)
@pytest.mark.parametrize("model", [BarClosed, StockIndicatorsCompleted, HamaChanged])
def test_prices_and_what_follows_from_them_are_of_shares_and_of_crypto_pairs(
    model: type[Event], symbol: str
) -> None:
    event = model.decode(1, example(model, symbol=symbol))
    assert event.model_dump()["symbol"] == symbol


@pytest.mark.parametrize(
    "symbol",
    ["USDT", "BUSDT", "busdt", "BTC-USDT", "BTC/USDT", "BTCJPY", "BTCUSDT.US.LN", "BTCUSDT\n",
     "A1234567890123USDT", "BTCUSDT:PERP"],
)  # fmt: skip
def test_what_is_no_pair_is_refused_as_an_instrument(symbol: str) -> None:
    with pytest.raises(InvalidBodyError, match="symbol"):
        HamaChanged.decode(1, example(HamaChanged, symbol=symbol))


@pytest.mark.parametrize("model", [SignalGenerated, OrderSubmitted, OrderFilled])
def test_what_trades_is_a_share_with_its_market_and_never_a_crypto_pair(model: type[Event]) -> None:
    with pytest.raises(InvalidBodyError, match="symbol: String should match pattern"):
        model.decode(model.version, example(model, symbol="BTCUSDT"))


def test_a_changed_hama_state_is_on_the_wire_as_agreed() -> None:
    event = HamaChanged.decode(1, example(HamaChanged, previous_state=None))
    assert json.loads(event.model_dump_json()) == {
        "symbol": "BTCUSDT",
        "timestamp": "2026-11-20T15:31:00Z",
        "preset": "nsdt",
        "interval_seconds": 60,
        "state": "bullish",
        "previous_state": None,
        "score": 72.5,
        "trend": "up",
        "colour": "green",
        "signal": "cross-up",
        "bollinger": "expansion",
        "close": 91250.5,
    }


def test_the_first_state_of_an_instrument_has_none_before_it() -> None:
    event = HamaChanged.decode(1, example(HamaChanged, previous_state=...))
    assert event.previous_state is None
