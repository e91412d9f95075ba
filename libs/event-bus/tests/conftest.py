"""An event bus in memory and on a server, under keys of the test's own."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

import pytest

from streamdesk.bus import Bus, BusConfig, RetryPolicy
from streamdesk.contracts.base import Event, Topic
from streamdesk.event_bus import EventBus, EventType

NOW = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
Connect = Callable[..., AbstractAsyncContextManager[EventBus]]
Written = Callable[[EventType], "list[Event]"]


@pytest.fixture(params=["memory", "valkey"])
def config(request: pytest.FixtureRequest) -> BusConfig:
    if request.param == "memory":
        url = f"memory://{secrets.token_hex(4)}"
    else:
        url = request.getfixturevalue("valkey_url")
    retry = RetryPolicy(max_retries=1, base_seconds=0.01, cap_seconds=0.02)
    return BusConfig(url=url, service="desk", retry=retry)


@pytest.fixture
def topics() -> dict[EventType, Topic[Any]]:
    """Every topic under a key that no other test uses."""
    mine = secrets.token_hex(4)
    return {kind: kind.topic.configured(key=f"{mine}:{kind.topic.key}") for kind in EventType}


@pytest.fixture
async def events(config: BusConfig, topics: dict[EventType, Topic[Any]]) -> AsyncIterator[EventBus]:
    async with EventBus.connect(config, "desk", topics=topics) as bus:
        yield bus


@pytest.fixture
async def written(
    config: BusConfig, topics: dict[EventType, Topic[Any]]
) -> AsyncIterator[Callable[[EventType], Any]]:
    """`await written(type)`: all events of a type that are on the bus."""

    async with Bus.connect(config) as bus:

        async def read(kind: EventType) -> list[Event]:
            return [message.event async for message in bus.replay(topics[kind], "0")]

        yield read
