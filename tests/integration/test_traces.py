"""One trace from bar to fill, and from fetched to filtered news, over a whole desk."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.collector import Collector, Span

Start = Callable[..., Any]
Trace = list[Span]
FILLS = "streamdesk.order.new_fills"

# What the trace of a filled signal has: name, service, kind, and the name of its parent.
WAY_OF_A_FILL = {
    ("scan bars", "signal-generator", "internal", ""),
    ("publish bars", "signal-generator", "producer", "scan bars"),
    ("publish signals", "signal-generator", "producer", "scan bars"),
    ("process signals", "order-executor", "consumer", "publish signals"),
    ("decide", "order-executor", "internal", "process signals"),
    ("submit order", "order-executor", "client", "process signals"),
    ("book", "order-executor", "internal", "process signals"),
    ("fill order", "order-executor", "internal", "decide"),
    ("book", "order-executor", "internal", "fill order"),
    ("publish orders", "order-executor", "producer", "decide"),
    ("publish orders", "order-executor", "producer", "book"),
    ("process orders", "websocket-gateway", "consumer", "publish orders"),
    ("process signals", "websocket-gateway", "consumer", "publish signals"),
}
WAY_OF_AN_ARTICLE = [
    ("process news_filtered", "websocket-gateway"),
    ("publish news_filtered", "news-filter"),
    ("publish news_raw", "news-fetcher"),
]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@pytest.fixture
def collected(up: Start, collector: Collector) -> Collector:
    """The spans of a desk that ran until there was one whole trace of each kind; it runs once."""
    if not collector.spans:
        desk = up(
            *("--executors", "2"),
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
            OTEL_BSP_SCHEDULE_DELAY="200",
        )
        desk.wait_for(lambda: fills(collector) != [], "a fill's trace is whole")
        desk.wait_for(lambda: articles(collector) != [], "an article's trace is whole")
        desk.interrupt()
        assert desk.errors_logged() == []
    return collector


def steps(trace: Trace) -> set[tuple[str, str, str, str]]:
    """Name, service, kind and the parent's name of each span."""
    names = {span.span_id: span.name for span in trace} | {"": ""}
    return {
        (span.name, span.service, span.kind, names.get(span.parent_id, "(missing)"))
        for span in trace
    }


def is_whole(trace: Trace) -> bool:
    """Whether the parent of each span but one has arrived: a span that never ends does not."""
    ids = {span.span_id for span in trace}
    return [span.parent_id for span in trace if span.parent_id not in ids] == [""]


def fills(collector: Collector) -> list[Trace]:
    """The whole traces in which an order was filled."""
    booked = [span for span in collector.named("book") if span.attributes.get(FILLS, 0)]
    traces = [collector.trace(trace_id) for trace_id in {span.trace_id for span in booked}]
    return [trace for trace in traces if is_whole(trace) and steps(trace) >= WAY_OF_A_FILL]


def articles(collector: Collector) -> list[Trace]:
    """From each filtered article that the gateway showed, back to where its trace begins."""
    shown = collector.named("process news_filtered")
    ways = [way_back(span, collector) for span in shown if span.service == "websocket-gateway"]
    return [way for way in ways if way[-1].parent_id == ""]


def way_back(span: Span, collector: Collector) -> Trace:
    """A span, its parent, and so on as far as they have arrived."""
    mine = {each.span_id: each for each in collector.trace(span.trace_id)}
    way = [span]
    while way[-1].parent_id in mine:
        way.append(mine[way[-1].parent_id])
    return way


def test_a_bar_its_signal_order_and_fill_are_one_trace_up_to_the_browser(
    collected: Collector,
) -> None:
    for trace in fills(collected):
        assert {span.trace_id for span in trace} == {trace[0].trace_id}
        assert trace[0].name == "scan bars"
        assert len({span.span_id for span in trace}) == len(trace)
        assert all(span.end_ns >= span.begin_ns > 0 for span in trace)
        executors = {span.instance for span in trace if span.service == "order-executor"}
        assert executors <= {"order-executor-1", "order-executor-2"}


def test_a_filtered_article_is_in_the_trace_of_the_fetched_one(collected: Collector) -> None:
    for way in articles(collected):
        # Between the two there is the filter's span, if all that it took had one cause.
        ends = [(span.name, span.service) for span in way if span.name != "process news_raw"]
        assert ends == WAY_OF_AN_ARTICLE


def test_messages_are_described_as_opentelemetry_names_it(collected: Collector) -> None:
    of_the_bus = [span for span in collected.spans if span.kind in ("producer", "consumer")]
    assert of_the_bus
    for span in of_the_bus:
        topic = span.attributes["messaging.destination.name"]
        operation = span.attributes["messaging.operation.name"]
        assert span.attributes["messaging.system"] == "redis"
        assert span.name == f"{operation} {topic}"
        kind = {"publish": ("send", "producer"), "process": ("process", "consumer")}
        assert (span.attributes["messaging.operation.type"], span.kind) == kind[str(operation)]
        one = "messaging.message.id" in span.attributes
        assert one or operation == "publish" or "messaging.batch.message_count" in span.attributes
