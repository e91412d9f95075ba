"""What REDIS_URL and BUS_WAIT_REPLICAS say is what a service's bus does."""

from collections.abc import Callable
from typing import Any

Start = Callable[..., Any]

SERVICE = """
from dataclasses import replace
from streamdesk.bus import Bus, BusConfig, BusUnavailableError, Wait
from streamdesk.contracts.base import Event, Topic

class Ping(Event):
    text: str

PINGS = Topic(
    name="pings", key="test:pings", models=(Ping,), about="Test traffic.",
    dead_key="test:pings:dead", durable=True,
)

@asynccontextmanager
async def build(settings, service):
    config = BusConfig(**settings.bus_config("worker", Wait))
    config = replace(config, publish_timeout_seconds=2)
    async with Bus.connect(config, observer=service.bus_observer()) as bus:
        try:
            await bus.publish(PINGS, Ping(text="hello"))
        except BusUnavailableError as error:
            log.info("failed", error=type(error).__name__)
        else:
            log.info("published")
        yield []
"""


def test_a_service_finds_its_master_through_the_sentinels_and_waits_for_its_replicas(
    start: Start,
    sentinel: Any,
) -> None:
    service = start(SERVICE, REDIS_URL=sentinel.url, BUS_WAIT_REPLICAS="2")
    service.line("published")
    assert service.end()[1] == ""


def test_a_durable_publish_fails_where_there_are_too_few_replicas(
    start: Start, valkey_url: str
) -> None:
    told = {"REDIS_URL": valkey_url, "BUS_WAIT_REPLICAS": "1", "BUS_WAIT_TIMEOUT_MS": "50"}
    assert start(SERVICE, **told).line("failed")["error"] == "NotDurableError"
    told["BUS_WAIT_REPLICAS"] = "0"
    start(SERVICE, **told).line("published")
