"""What /metrics of a real process says about a real bus on a real server."""

import re
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Start = Callable[..., Any]
Get = Callable[[int, str], tuple[int, str]]

# Four pings wait for one worker: one dies, one is retried, one is done, one stays pending.
SERVICE = """
from streamdesk.bus import Bus, BusConfig, Dead, RetryAfter, Wait
from streamdesk.contracts.base import Consumer, Event, Topic

class Ping(Event):
    text: str

KEY = Path("key").read_text()
PINGS = Topic(
    name="pings", key=KEY, models=(Ping,), about="Test traffic.", dead_key=f"{KEY}:dead",
    consumers=(Consumer("worker", "workers"),),
)

async def handle(message):
    if message.event.text == "bad":
        return Dead("no-good")
    if message.event.text == "later" and message.attempt == 1:
        raise RetryAfter(3600)
    if message.event.text == "hold":
        await until_released()

@asynccontextmanager
async def build(settings, service):
    config = BusConfig(**settings.bus_config("worker", Wait))
    async with Bus.connect(config, observer=service.bus_observer()) as bus:
        await bus.publish_many(PINGS, [Ping(text=t) for t in ("bad", "later", "fine", "hold")])
        consumer = bus.subscribe(PINGS, "workers", handle, batch=1, concurrency=1)

        async def consume(drain):
            await consumer.run(drain.requested)

        async def follow(drain):
            while not Path("more").exists():
                await drain.sleep(0.01)
            await bus.publish_many(PINGS, [Ping(text="more")] * 3)

        yield [ServiceTask("pings", consume), ServiceTask("more", follow)]
"""
TROUBLE = """
from streamdesk.bus import Bus, BusConfig, BreakerPolicy, Dead, QueueFullError, Wait
from streamdesk.contracts.base import Consumer, Event, Topic

class Ping(Event):
    text: str

KEY = Path("key").read_text()

def topic(name, **more):
    return Topic(
        name=name, key=f"{KEY}:{name}", models=(Ping,), about="Test traffic.",
        dead_key=f"{KEY}:{name}:dead", consumers=(Consumer("worker", "workers"),), **more,
    )

SICK, FULL, LOST = topic("sick"), topic("full", keep=1, hard_cap=2), topic("lost")

async def handle(message):
    return Dead("no-good")

@asynccontextmanager
async def build(settings, service):
    config = BusConfig(**settings.bus_config("worker", Wait))
    async with Bus.connect(config, observer=service.bus_observer()) as bus:
        await bus.publish_many(SICK, [Ping(text="bad")] * 2)
        for _ in range(4):
            try:
                await bus.publish(FULL, Ping(text="much"))
            except QueueFullError:
                break
        breaker = BreakerPolicy(window=2, dead_share=1.0, pause_seconds=3600)
        sick = bus.subscribe(SICK, "workers", handle, breaker=breaker)
        lost = bus.subscribe(LOST, "workers", handle)
        yield [
            ServiceTask("sick", lambda drain: sick.run(drain.requested)),
            ServiceTask("lost", lambda drain: lost.run(drain.requested)),
        ]
"""
NAMES = {
    "event_processing_latency": "histogram",
    "redis_consumer_lag": "gauge",
    "redis_pending_messages": "gauge",
    "redis_stream_length": "gauge",
    "streams_active_consumers": "gauge",
    "streams_breaker_open": "gauge",
    "streams_cap_reached_total": "counter",
    "streams_connected": "gauge",
    "streams_dead_letters_total": "counter",
    "streams_dead_letters_waiting": "gauge",
    "streams_delayed": "gauge",
    "streams_groups_recreated_total": "counter",
    "streams_lag": "gauge",
    "streams_messages_consumed_total": "counter",
    "streams_messages_published_total": "counter",
    "streams_oldest_pending_seconds": "gauge",
    "streams_outage_seconds_total": "counter",
    "streams_processing_duration_seconds": "histogram",
    "streams_publishes_refused_total": "counter",
    "streams_reconnects_total": "counter",
    "streams_retries_total": "counter",
    "streams_tail_undecodable_total": "counter",
}


class Metrics:
    """Reads /metrics until something holds; the limit only ends a test that would never end."""

    def __init__(self, get: Get, port: int) -> None:
        self._get = get
        self._port = port
        self.text = ""

    def value(self, series: str) -> float | None:
        found = re.search(rf"^{re.escape(series)} (\S+)$", self.text, re.MULTILINE)
        return float(found[1]) if found else None

    def reach(self, expected: dict[str, float | None]) -> None:
        deadline = time.monotonic() + 60
        while True:
            self.text = self._get(self._port, "/metrics")[1]
            found = {series: self.value(series) for series in expected}
            if found == expected or time.monotonic() > deadline:
                assert found == expected
                return
            time.sleep(0.05)


def test_a_process_shows_what_passed_and_where_its_group_stands(
    start: Start, get: Get, valkey_url: str, tmp_path: Path
) -> None:
    key = f"test:{secrets.token_hex(4)}"
    (tmp_path / "key").write_text(key)
    service = start(SERVICE, REDIS_URL=valkey_url, BUS_LEASE_SECONDS="2")
    metrics = Metrics(get, service.line("started")["probe_port"])
    group = 'group="workers",topic="pings"'
    stream = f'group="workers",stream="{key}"'
    metrics.reach(
        {
            'streams_messages_published_total{topic="pings"}': 4,
            'streams_messages_consumed_total{group="workers",outcome="ack",topic="pings"}': 1,
            f"streams_retries_total{{{group}}}": 1,
            'streams_dead_letters_total{group="workers",reason="no-good",topic="pings"}': 1,
            f"streams_delayed{{{group}}}": 1,
            f"streams_lag{{{group}}}": 0,
            f"streams_active_consumers{{{group}}}": 1,
            'streams_dead_letters_waiting{topic="pings"}': 1,
            f"streams_breaker_open{{{group}}}": 0,
            f"redis_pending_messages{{{stream}}}": 1,
            f"redis_consumer_lag{{{stream}}}": 0,
        }
    )
    types = dict(
        re.findall(r"^# TYPE ((?:streams|redis|event)_\w+) (\w+)$", metrics.text, re.MULTILINE)
    )
    assert {name: kind for name, kind in types.items() if not name.endswith("_created")} == NAMES
    assert metrics.value(f"streams_processing_duration_seconds_count{{{group}}}") == 3
    assert metrics.value(f"event_processing_latency_count{{{group}}}") == 3
    (tmp_path / "more").touch()
    metrics.reach(
        {
            f"streams_lag{{{group}}}": 3,
            f"redis_consumer_lag{{{stream}}}": 3,
            f"redis_pending_messages{{{stream}}}": 1,
        }
    )
    assert (metrics.value(f"streams_oldest_pending_seconds{{{group}}}") or 0) > 0
    service.release()
    metrics.reach(
        {
            f"streams_lag{{{group}}}": 0,
            f"redis_pending_messages{{{stream}}}": 0,
            f"streams_oldest_pending_seconds{{{group}}}": 0,
        }
    )


def test_what_went_wrong_is_shown_by_the_process_that_met_it(
    start: Start, get: Get, valkey_url: str, tmp_path: Path
) -> None:
    key = f"test:{secrets.token_hex(4)}"
    (tmp_path / "key").write_text(key)
    service = start(TROUBLE, REDIS_URL=valkey_url, BUS_LEASE_SECONDS="2")
    metrics = Metrics(get, service.line("started")["probe_port"])
    metrics.reach(
        {
            'streams_breaker_open{group="workers",topic="sick"}': 1,
            'streams_breaker_open{group="workers",topic="lost"}': 0,
            'streams_active_consumers{group="workers",topic="lost"}': 1,
            'streams_cap_reached_total{topic="full"}': 1,
            'streams_publishes_refused_total{topic="full"}': 1,
        }
    )
    address = urlsplit(valkey_url)
    with socket.create_connection((address.hostname, address.port or 6379), 30) as server:
        server.sendall(f"XGROUP DESTROY {key}:lost workers\r\n".encode())
        assert server.recv(16) == b":1\r\n"
    metrics.reach({'streams_groups_recreated_total{group="workers",topic="lost"}': 1})
