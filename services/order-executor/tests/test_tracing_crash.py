"""A trace over two real executors: one is killed before it published, the other does it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Connection, delete, insert

from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.events import SignalGenerated
from streamdesk.contracts.topics import TRADING_SIGNALS
from streamdesk.order_executor.adapters.ledger.outbox import LEASE
from streamdesk.order_executor.adapters.ledger.schema import LEASES
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.runtime import BusTracer
from streamdesk.runtime.tracing import set_up_tracing
from tests.collector import Collector

SignalOf = Callable[..., SignalGenerated]
Start = Callable[[str], "subprocess.Popen[bytes]"]
KEYS = "signal_queue_key", "bars_key", "orders_key", "risk_key"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    made = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.endpoint)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    yield made
    made.close()


@pytest.fixture
def values(tmp_path: Path, valkey_url: str) -> dict[str, str]:
    """Settings of an account, and of topics of the test's own."""
    place = uuid4().hex[:8]
    return {
        "redis_url": valkey_url,
        "ledger_url": f"sqlite:///{tmp_path / 'ledger.db'}",
        "paper_broker_url": f"sqlite:///{tmp_path / 'paper.db'}",
        **{name: f"traced:{place}:{name}" for name in KEYS},
    }


@pytest.fixture
def start(values: dict[str, str]) -> Iterator[Start]:
    """Starts an executor as a process."""
    begun: list[subprocess.Popen[bytes]] = []

    def begin(instance: str) -> "subprocess.Popen[bytes]":
        variables = {name.upper(): value for name, value in values.items()}
        quiet = {"INSTANCE": instance, "METRICS_PORT": "0", "METRICS_HOST": "127.0.0.1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "streamdesk.order_executor"],
            env=os.environ | variables | quiet,
            stdout=subprocess.DEVNULL,
        )
        begun.append(process)
        return process

    yield begin
    for process in begun:
        process.kill()
        process.wait(60)


async def lead(values: dict[str, str], *, take: bool) -> None:
    """Be the one that publishes, so that no executor is; or be it no more."""
    row = {"name": LEASE, "owner": "test", "until": datetime.now(UTC) + timedelta(days=1)}

    def work(connection: Connection) -> None:
        connection.execute(delete(LEASES))
        if take:
            connection.execute(insert(LEASES).values(**row))

    async with OrderExecutor(Settings.model_validate(values)) as executor:
        await executor.ledger.database.write(work)


async def test_what_a_killed_executor_left_in_the_outbox_is_published_in_its_trace(
    values: dict[str, str], start: Start, collector: Collector, signal_of: SignalOf
) -> None:
    await lead(values, take=True)
    first = start("first")
    close = set_up_tracing("signal-generator", "test")
    topic = TRADING_SIGNALS.configured(key=values["signal_queue_key"])
    async with Bus.connect(BusConfig(url=values["redis_url"]), tracer=BusTracer()) as bus:
        signal = signal_of(queued_at=datetime.now(UTC))
        await bus.publish(topic, signal, event_id="signal-1")
    close()
    (published,) = collector.named("publish signals")
    collector.wait_for(
        lambda it: [span for span in it.named("book") if span.instance == "first"],
        "the order of the signal is accepted",
    )
    first.kill()
    first.wait(60)
    await lead(values, take=False)
    start("second")
    collector.wait_for(
        lambda it: len(it.named("publish orders")) >= 2,  # submitted, accepted
        "another executor publishes",
    )
    made = {span.span_id: span for span in collector.trace(published.trace_id)}
    publications = [span for span in made.values() if span.name == "publish orders"]
    assert {span.instance for span in publications} == {"second"}
    causes = {(made[span.parent_id].name, made[span.parent_id].instance) for span in publications}
    assert causes == {("decide", "first"), ("book", "first")}
    process = next(span for span in made.values() if span.name == "process signals")
    assert process.parent_id == published.span_id
    assert {made[span.parent_id].parent_id for span in publications} == {process.span_id}
