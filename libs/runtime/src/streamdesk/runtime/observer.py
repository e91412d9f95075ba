"""What the bus reports, as metrics and log lines; and the trace it carries.

Both classes fit the bus's protocols by their methods alone: neither library imports the other.
"""

from contextlib import AbstractContextManager
from functools import lru_cache

from prometheus_client import Counter, Histogram

from streamdesk.runtime import metrics
from streamdesk.runtime.logs import logger
from streamdesk.runtime.tracing import inject_trace_context, span_from

log = logger("bus")


@lru_cache(maxsize=1024)
def _counter(topic: str, group: str, outcome: str) -> Counter:
    return metrics.STREAMS_MESSAGES_CONSUMED.labels(topic, group, outcome)


@lru_cache(maxsize=256)
def _histograms(topic: str, group: str) -> tuple[Histogram, Histogram]:
    return (
        metrics.STREAMS_PROCESSING_DURATION.labels(topic, group),
        metrics.EVENT_PROCESSING_LATENCY.labels(topic, group),
    )


class BusMetrics:
    """Counts what the bus does; says once that Redis is lost, and once that it is back."""

    def __init__(self) -> None:
        self._lost = False
        metrics.STREAMS_CONNECTED.set(1)

    def published(self, topic: str, count: int) -> None:
        """`count` events were written."""
        metrics.STREAMS_MESSAGES_PUBLISHED.labels(topic).inc(count)

    def refused(self, topic: str) -> None:
        """The queue is full; whoever published was told so."""
        metrics.STREAMS_PUBLISHES_REFUSED.labels(topic).inc()

    def consumed(
        self, topic: str, group: str, outcome: str, seconds: float, latency_seconds: float
    ) -> None:
        """One event was handled.

        Args:
            topic: name of the topic.
            group: consumer group.
            outcome: how it ended, as in ack.
            seconds: time in the handler.
            latency_seconds: time from publish to acknowledgement.
        """
        _counter(topic, group, outcome).inc()
        duration, latency = _histograms(topic, group)
        duration.observe(seconds)
        latency.observe(latency_seconds)

    def retried(self, topic: str, group: str) -> None:
        """One event will be handled again."""
        metrics.STREAMS_RETRIES.labels(topic, group).inc()

    def dead_lettered(self, topic: str, group: str, reason: str) -> None:
        """One event was given up."""
        metrics.STREAMS_DEAD_LETTERS.labels(topic, group, reason).inc()
        log.warning("dead letter", topic=topic, group=group, reason=reason)

    def undecodable(self, topic: str, reason: str) -> None:
        """A reader without a group skipped an entry it could not read."""
        metrics.STREAMS_TAIL_UNDECODABLE.labels(topic, reason).inc()
        log.warning("entry skipped", topic=topic, reason=reason)

    def handler_failed(
        self, topic: str, group: str, event_id: str, error: BaseException, attempt: int, will: str
    ) -> None:
        """A handler raised.

        Args:
            topic: name of the topic.
            group: consumer group.
            event_id: the event's id, the same at every attempt.
            error: what was raised.
            attempt: 1 for the first.
            will: what happens next, as in `retry in 1.2 s` or `dead`.
        """
        log.warning(
            "handler failed",
            topic=topic,
            group=group,
            event_id=event_id,
            error=repr(error),
            attempt=attempt,
            will=will,
            # The same traceback once is enough.
            exc_info=error if attempt == 1 else None,
        )

    def connection_lost(self, error: str) -> None:
        """Redis does not answer; the bus tries again until it does."""
        metrics.STREAMS_CONNECTED.set(0)
        if not self._lost:
            self._lost = True
            log.warning("redis lost", error=error)

    def connection_restored(self, outage_seconds: float) -> None:
        """Redis answers again."""
        metrics.STREAMS_CONNECTED.set(1)
        if self._lost:
            self._lost = False
            metrics.STREAMS_RECONNECTS.inc()
            metrics.STREAMS_OUTAGE_SECONDS.inc(outage_seconds)
            log.info("redis back", outage_seconds=round(outage_seconds, 3))


class BusTracer:
    """Carries the trace across the bus; does nothing while tracing is off."""

    def inject(self) -> str:
        """The current span as a W3C traceparent, empty when there is none."""
        return inject_trace_context().get("traceparent", "")

    def span(self, name: str, traceparent: str) -> AbstractContextManager[object]:
        """A span that continues `traceparent`, current inside the context."""
        return span_from({"traceparent": traceparent} if traceparent else {}, name)
