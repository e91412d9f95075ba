import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.base import Event, Topic
from streamdesk.contracts.events import (
    BarClosed,
    RiskAlerted,
    Severity,
    Side,
    SignalGenerated,
    StrategyUpdated,
    SystemEvent,
)
from streamdesk.event_bus import EventBus, EventType, InvalidEventError

NOW = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
BAR = {
    "timestamp": NOW,
    "interval_seconds": 60,
    "open": 271.2,
    "high": 271.9,
    "low": 271.1,
    "close": 271.75,
    "volume": 184_300,
}
Written = Callable[[EventType], Awaitable[list[Event]]]


def lately(at: datetime) -> bool:
    return timedelta() <= datetime.now(UTC) - at < timedelta(hours=1)


async def test_market_data_become_a_bar(events: EventBus, written: Written) -> None:
    entry_id = await events.publish_market_data("AAPL.US", BAR)
    assert entry_id
    expected = BarClosed.model_validate({"symbol": "AAPL.US", **BAR})
    assert await written(EventType.MARKET_DATA) == [expected]


async def test_fields_can_be_keywords_and_they_win_over_the_data(
    events: EventBus, written: Written
) -> None:
    await events.publish_market_data("AAPL.US", {**BAR, "volume": 1}, volume="200")
    (bar,) = await written(EventType.MARKET_DATA)
    assert isinstance(bar, BarClosed)
    assert bar.volume == 200


async def test_a_crypto_pair_has_bars_and_never_signals(events: EventBus, written: Written) -> None:
    await events.publish_market_data("BTCUSDT", BAR)
    (bar,) = await written(EventType.MARKET_DATA)
    assert isinstance(bar, BarClosed)
    assert bar.symbol == "BTCUSDT"
    with pytest.raises(InvalidEventError, match="symbol"):
        await events.publish_trading_signal("BTCUSDT", "BUY", 65, price=91_250.5)


@pytest.mark.parametrize(
    ("signal_type", "score", "side", "strength", "priority"),
    [
        ("STRONG_BUY", 100, Side.BUY, 1.0, 100),
        ("BUY", 65.5, Side.BUY, 0.655, 60),
        ("SELL", 9, Side.SELL, 0.09, 0),
    ],
)
async def test_a_signal_gets_side_strength_and_priority_from_its_type_and_score(
    events: EventBus,
    written: Written,
    signal_type: str,
    score: float,
    side: Side,
    strength: float,
    priority: int,
) -> None:
    await events.publish_trading_signal("700.HK", signal_type, score, price=388.2)
    (signal,) = await written(EventType.TRADING_SIGNAL)
    assert isinstance(signal, SignalGenerated)
    assert (signal.side, signal.strength, signal.priority) == (side, strength, priority)
    assert (signal.strategy, signal.reasons, signal.indicators) == ("desk", (), {})
    assert lately(signal.timestamp)
    assert lately(signal.queued_at)


async def test_what_is_given_of_a_signal_is_not_derived(events: EventBus, written: Written) -> None:
    data = {"price": 10, "strength": 0.1, "strategy": "mine", "timestamp": NOW, "priority": 90}
    await events.publish_trading_signal("700.HK", "BUY", 65, data)
    (signal,) = await written(EventType.TRADING_SIGNAL)
    assert isinstance(signal, SignalGenerated)
    assert (signal.strength, signal.strategy, signal.timestamp) == (0.1, "mine", NOW)
    assert signal.priority == 90


async def test_a_risk_alert_is_a_warning_by_default(events: EventBus, written: Written) -> None:
    await events.publish_risk_alert("LIMIT_NEAR", "4 of 5", {"value": 4, "limit": 5})
    await events.publish_risk_alert("LIMIT_HIT", "5 of 5", value=5, limit=5, severity="critical")
    near, hit = await written(EventType.RISK_ALERT)
    assert isinstance(near, RiskAlerted)
    assert isinstance(hit, RiskAlerted)
    assert (near.severity, near.symbol, near.message) == (Severity.WARNING, None, "4 of 5")
    assert hit.severity is Severity.CRITICAL
    assert lately(near.timestamp)


async def test_a_strategy_update_says_which_rules_hold_since_when(
    events: EventBus, written: Written
) -> None:
    await events.publish_strategy_update("v2", {"score_min": 40}, "less noise", timestamp=NOW)
    expected = StrategyUpdated(
        strategy="v2", parameters={"score_min": 40}, message="less noise", timestamp=NOW
    )
    assert await written(EventType.STRATEGY_UPDATE) == [expected]


async def test_a_system_event_is_about_the_source(events: EventBus, written: Written) -> None:
    await events.publish_system_event("started", "desk is ready", {"instance": "desk-1"})
    (event,) = await written(EventType.SYSTEM_EVENT)
    assert isinstance(event, SystemEvent)
    assert (event.service, event.severity) == ("desk", Severity.INFO)
    assert event.details == {"instance": "desk-1"}


async def test_an_event_id_that_the_caller_derives_is_kept(
    events: EventBus, config: BusConfig, topics: dict[EventType, Topic[Any]]
) -> None:
    given = "0192f0c1-7b5e-7c1f-9d0a-3f2b1c0d9e8f"
    await events.publish_system_event("started", "ready", event_id=given)
    async with Bus.connect(config) as bus, asyncio.timeout(30):
        async for message in bus.tail(topics[EventType.SYSTEM_EVENT], since="0"):
            assert message.id == given
            return


Publish = Callable[[EventBus], Awaitable[str]]
WRONG: list[tuple[Publish, str, str]] = [
    (lambda bus: bus.publish_market_data("AAPL", BAR), "symbol", "got 'AAPL'"),
    (lambda bus: bus.publish_market_data("AAPL.US", {**BAR, "open": -1}), "open", "greater than 0"),
    (
        lambda bus: bus.publish_market_data("AAPL.US", {k: BAR[k] for k in BAR if k != "close"}),
        "close",
        "is missing",
    ),
    (lambda bus: bus.publish_market_data("AAPL.US", BAR, colour="red"), "colour", "its fields are"),
    (lambda bus: bus.publish_market_data("AAPL.US", {**BAR, "high": 271.3}), "event", "low 271.1"),
    (lambda bus: bus.publish_trading_signal("AAPL.US", "HOLD", 50, price=1), "type", "'BUY'"),
    (lambda bus: bus.publish_trading_signal("AAPL.US", "BUY", 120, price=1), "score", "got '120'"),
    (
        lambda bus: bus.publish_trading_signal("AAPL.US", "BUY", float("nan"), price=1),
        "score",
        "finite",
    ),
    (lambda bus: bus.publish_trading_signal("AAPL.US", "BUY", 50), "price", "is missing"),
    (lambda bus: bus.publish_risk_alert("near", "?", value=1, limit=2), "code", "got 'near'"),
    (lambda bus: bus.publish_risk_alert("NEAR", "?", value="a", limit=2), "value", "got 'a'"),
    (
        lambda bus: bus.publish_risk_alert("NEAR", "?", value=1, limit=2, severity="bad"),
        "severity",
        "'warning'",
    ),
    (
        lambda bus: bus.publish_strategy_update("v2", {"score_min": float("inf")}, "?"),
        "parameters.score_min",
        "finite",
    ),
    (lambda bus: bus.publish_system_event("Started!", "?"), "kind", "got 'Started!'"),
    (
        lambda bus: bus.publish_system_event("started", "?", timestamp=NOW.replace(tzinfo=None)),
        "timestamp",
        "timezone",
    ),
]


@pytest.mark.parametrize(("publish", "field", "problem"), WRONG)
async def test_data_that_make_no_event_are_refused_and_the_field_is_named(
    events: EventBus, written: Written, publish: Publish, field: str, problem: str
) -> None:
    with pytest.raises(InvalidEventError) as caught:
        await publish(events)
    assert list(caught.value.problems) == [field]
    assert f"{field}: " in str(caught.value)
    assert problem in str(caught.value)
    for kind in EventType:
        assert await written(kind) == []


async def test_every_field_that_is_wrong_is_named_at_once(events: EventBus) -> None:
    with pytest.raises(InvalidEventError) as caught:
        await events.publish_market_data("aapl", {**BAR, "open": 0, "volume": "much"})
    assert set(caught.value.problems) == {"symbol", "open", "volume"}
