"""The trace of an order outlives the process that made it."""

from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from uuid import uuid4

import pytest

from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.contracts.topics import TRADING_ORDERS
from streamdesk.order_executor.adapters.paper_broker import Faults
from streamdesk.order_executor.application.publish_outbox import OutboxPublisher
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.errors import BrokerUnavailableError
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.runtime import BusTracer, span
from streamdesk.runtime.tracing import set_up_tracing, traceparent_of
from tests.collector import Collector, Span
from tests.resting_broker import RestingBroker, plug

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
SettingsOf = Callable[..., Settings]


class Process:
    """Tracing as a process of this name has it, one after the other."""

    def __init__(self) -> None:
        self.collector = Collector()
        self._end: Callable[[], None] = lambda: None

    def begin(self, instance: str) -> None:
        self.end()
        self._end = set_up_tracing("order-executor", instance)

    def end(self) -> None:
        """Send what is pending."""
        self._end()
        self._end = lambda: None


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    made = Process()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.collector.endpoint)
    yield made
    made.end()
    made.collector.close()


def by_name(collector: Collector, trace_id: str) -> dict[str, Span]:
    """The last span of each name in a trace."""
    return {span.name: span for span in collector.trace(trace_id)}


async def publish_all(executor: OrderExecutor) -> dict[str, str]:
    """Publish the outbox; the traceparent that each type of event carries."""
    url = f"memory://{uuid4()}"
    async with Bus.connect(BusConfig(url=url), tracer=BusTracer()) as bus:
        wanted = await OutboxPublisher(executor.outbox, bus).publish_some()
        found = []
        async for message in bus.tail(TRADING_ORDERS, since="0"):
            found.append(message)
            if len(found) == wanted:
                break
    return {
        message.event.type_name(): message.trace_context.get("traceparent", "") for message in found
    }


async def test_an_event_that_another_process_publishes_continues_the_trace_it_came_from(
    executor_of: ExecutorOf, signal_of: SignalOf, process: Process
) -> None:
    process.begin("first")
    with span("process signals") as root:
        trace_id = traceparent_of(root).split("-")[1]
        await (await executor_of()).on_signal("signal-1", signal_of())
    process.begin("second")  # the first one died before it published
    carried = await publish_all(await executor_of(instance="executor-2"))
    process.end()
    made = {each.span_id: each for each in process.collector.trace(trace_id)}
    publications = {
        kind: made[carried[kind].split("-")[2]] for kind in ("OrderSubmitted", "OrderFilled")
    }
    assert {each.instance for each in publications.values()} == {"second"}
    causes = {kind: made[each.parent_id] for kind, each in publications.items()}
    assert {kind: (each.name, each.instance) for kind, each in causes.items()} == {
        "OrderSubmitted": ("decide", "first"),
        "OrderFilled": ("book", "first"),
    }


async def test_an_order_that_another_process_finishes_stays_in_its_trace(
    executor_of: ExecutorOf, signal_of: SignalOf, process: Process
) -> None:
    async def gone(_: str) -> None:
        raise BrokerUnavailableError("no answer")

    process.begin("first")
    executor = await executor_of(faults=Faults(before_accept=gone))
    with span("process signals") as root:
        trace_id = traceparent_of(root).split("-")[1]
        await executor.on_signal("signal-1", signal_of())
    process.begin("second")
    await (await executor_of(instance="executor-2")).reconciliation.reconcile()
    process.end()
    made = by_name(process.collector, trace_id)
    ids = {name: each.span_id for name, each in made.items()}
    parents = {name: each.parent_id for name, each in made.items()}
    assert {name: each.instance for name, each in made.items()} == {
        "process signals": "first", "decide": "first",
        "reconcile": "second", "query order": "second",
        "submit order": "second", "book": "second",
    }  # fmt: skip
    assert parents["reconcile"] == ids["decide"]
    assert {parents[name] for name in ("query order", "submit order", "book")} == {ids["reconcile"]}


async def test_a_protective_exit_is_in_the_trace_of_the_bar_that_crossed_its_stop(
    executor_of: ExecutorOf, signal_of: SignalOf, bar_of: BarOf, process: Process
) -> None:
    process.begin("first")
    executor = await executor_of()
    plug(executor, RestingBroker()).portion = Decimal(1)
    await executor.on_signal("signal-1", signal_of(stop_loss=95.0))
    with span("scan bars") as bar:
        pass
    await executor.protection.on_bar(bar_of(price=94.0), traceparent_of(bar))
    process.end()
    made = by_name(process.collector, traceparent_of(bar).split("-")[1])
    assert made["leave position"].parent_id == made["scan bars"].span_id
    assert made["book"].parent_id == made["leave position"].span_id
    assert made["leave position"].attributes["streamdesk.stop"] == "STOP_LOSS"


async def test_without_traces_rows_and_events_name_none(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("signal-1", signal_of())
    entries = await executor.outbox.unpublished(100)
    assert {entry.traceparent for entry in entries} == {None}
    assert set((await publish_all(executor)).values()) == {""}
