import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from streamdesk.bus import Bus, BusConfig, Dead, Message, RetryAfter
from streamdesk.contracts.base import Topic
from streamdesk.contracts.events import RiskAlerted, SystemEvent
from streamdesk.event_bus import EventBus, EventBusError, EventType, Statistics

UNREACHABLE = BusConfig(url="redis://127.0.0.1:1/0", socket_timeout_seconds=0.5)
Topics = dict[EventType, Topic[Any]]


@asynccontextmanager
async def running(*buses: EventBus) -> AsyncIterator[None]:
    """All subscriptions consume until the end of the block."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for bus in buses:
            group.create_task(bus.run(stop))
        try:
            yield
        finally:
            stop.set()


async def until(holds: Callable[[], object]) -> None:
    """The limit only ends a test that would never end."""
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)


async def alert(bus: EventBus, code: str = "NEAR") -> None:
    await bus.publish_risk_alert(code, "4 of 5", value=4, limit=5)


async def test_a_handler_fits_its_type_which_mypy_checks(events: EventBus) -> None:
    async def on_alert(_message: Message[RiskAlerted]) -> None:
        pass

    events.subscribe(EventType.RISK_ALERT, on_alert)
    events.subscribe(EventType.SYSTEM_EVENT, on_alert)  # type: ignore[call-overload]  # refused: the test


async def test_each_subscription_gets_the_events_of_its_type(events: EventBus) -> None:
    alerts: list[str] = []
    happened: list[str] = []

    async def on_alert(message: Message[RiskAlerted]) -> None:
        alerts.append(message.event.code)

    async def on_event(message: Message[SystemEvent]) -> None:
        happened.append(message.event.kind)

    events.subscribe(EventType.RISK_ALERT, on_alert)
    events.subscribe(EventType.SYSTEM_EVENT, on_event)
    await alert(events)
    async with running(events):
        await events.publish_system_event("started", "ready")
        await until(lambda: alerts and happened)
    assert (alerts, happened) == (["NEAR"], ["started"])


async def test_every_group_gets_every_event_and_its_members_share_them(
    config: BusConfig, topics: Topics
) -> None:
    seen: dict[str, list[str]] = {"a": [], "b": [], "other": []}

    def into(name: str) -> Callable[[Message[RiskAlerted]], Any]:
        async def note(message: Message[RiskAlerted]) -> None:
            seen[name].append(message.event.code)

        return note

    async with Bus.connect(config) as bus:
        first = EventBus(bus, "a", topics=topics)
        second = EventBus(bus, "b", topics=topics)
        first.subscribe(EventType.RISK_ALERT, into("a"), group="pagers")
        second.subscribe(EventType.RISK_ALERT, into("b"), group="pagers")
        second.subscribe(EventType.RISK_ALERT, into("other"))
        codes = [f"ALERT_{letter}" for letter in "ABCDEFGHIJ"]
        async with running(first, second):
            for code in codes:
                await alert(first, code)
            await until(lambda: len(seen["other"]) == len(seen["a"] + seen["b"]) == len(codes))
    assert sorted(seen["other"]) == sorted(seen["a"] + seen["b"]) == codes


async def test_a_bus_without_subscriptions_runs_until_it_is_stopped(events: EventBus) -> None:
    stop = asyncio.Event()
    run = asyncio.create_task(events.run(stop))
    await asyncio.sleep(0)
    assert not run.done()
    stop.set()
    await run


async def test_a_subscription_that_fails_ends_the_others_in_order(
    config: BusConfig, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, release, handled = asyncio.Event(), asyncio.Event(), []

    async def slow(message: Message[RiskAlerted]) -> None:
        begun.set()
        await release.wait()
        handled.append(message.event.code)

    async def never(_message: Message[SystemEvent]) -> None:
        raise AssertionError

    async with EventBus.connect(config, "desk", topics=topics) as events:
        events.subscribe(EventType.RISK_ALERT, slow)
        broken = events.subscribe(EventType.SYSTEM_EVENT, never)

        async def fail(_stop: asyncio.Event) -> None:
            await begun.wait()
            release.set()
            raise RuntimeError("out of order")

        monkeypatch.setattr(broken, "run", fail)
        await alert(events)
        with pytest.raises(RuntimeError, match="out of order"):
            await events.run(asyncio.Event())
        assert handled == ["NEAR"]
        (group,) = (await events.health()).types[EventType.RISK_ALERT].groups
        assert (group.waiting, group.pending) == (0, 0)


async def test_statistics_count_what_was_published_consumed_failed_and_dead_lettered(
    events: EventBus,
) -> None:
    async def on_alert(message: Message[RiskAlerted]) -> Dead | None:
        if message.event.code == "TWICE" and message.attempt == 1:
            raise RetryAfter(0.01)
        return Dead("in-a-test") if message.event.code == "BAD" else None

    events.subscribe(EventType.RISK_ALERT, on_alert)
    async with running(events):
        for code in ("FINE", "TWICE", "BAD"):
            await alert(events, code)
        await until(lambda: events.statistics()[EventType.RISK_ALERT].consumed == 4)
    statistics = events.statistics()
    assert statistics[EventType.RISK_ALERT] == Statistics(published=3, consumed=4, failed=2, dead=1)
    assert statistics[EventType.MARKET_DATA] == Statistics()
    assert set(statistics) == set(EventType)


async def test_statistics_need_an_observer_that_counts(config: BusConfig) -> None:
    async with Bus.connect(config) as bus:
        with pytest.raises(EventBusError, match=r"EventBus\.connect"):
            EventBus(bus, "desk").statistics()


async def test_health_has_the_state_of_each_group_and_its_living_consumers(
    events: EventBus,
) -> None:
    async def on_alert(_message: Message[RiskAlerted]) -> None:
        pass

    subscription = events.subscribe(EventType.RISK_ALERT, on_alert, group="pagers")
    await alert(events)
    before = await events.health()
    assert before.connected
    assert set(before.types) == set(EventType)
    (group,) = before.types[EventType.RISK_ALERT].groups
    assert (group.group, group.waiting, group.active_consumers) == ("pagers", 1, 0)
    async with running(events):
        await until(lambda: events.statistics()[EventType.RISK_ALERT].consumed)
        async with asyncio.timeout(30):
            while not (names := await events.active_consumers(EventType.RISK_ALERT, "pagers")):
                await asyncio.sleep(0.01)
        assert names == [subscription.consumer]
        (group,) = (await events.health()).types[EventType.RISK_ALERT].groups
        assert (group.waiting, group.active_consumers) == (0, 1)
    assert await events.active_consumers(EventType.RISK_ALERT, "pagers") == []
    assert (await events.health()).types[EventType.RISK_ALERT].added == 1


async def test_health_without_a_server_is_an_answer() -> None:
    async with EventBus.connect(UNREACHABLE, "desk") as events:
        health = await events.health()
    assert (health.connected, dict(health.types)) == (False, {})
