"""What the bus reports, as metrics and log lines.

The class fits the bus's protocol by its methods alone: neither library imports the other.
"""

import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from prometheus_client import Counter, Histogram

from streamdesk.runtime import metrics
from streamdesk.runtime.logs import logger
from streamdesk.runtime.tracing import exemplar

log = logger(__name__)
REMIND_SECONDS = 60.0  # what keeps happening is logged again after so long


class StreamLagReport(Protocol):
    """Where a group stands on one stream, as the bus tells."""

    @property
    def key(self) -> str:
        """Redis key of the stream."""

    @property
    def length(self) -> int:
        """Entries on it."""

    @property
    def waiting(self) -> int:
        """Entries the group was not given yet."""

    @property
    def pending(self) -> int:
        """Entries delivered and not acknowledged."""


class LagReport(Protocol):
    """Where a group stands on a topic, as the bus tells; summed over its streams."""

    @property
    def topic(self) -> str:
        """Name of the topic."""

    @property
    def group(self) -> str:
        """Name of the group."""

    @property
    def waiting(self) -> int:
        """Entries the group was not given yet."""

    @property
    def delayed(self) -> int:
        """Messages that wait for their time."""

    @property
    def dead(self) -> int:
        """Dead letters of the topic."""

    @property
    def oldest_pending_seconds(self) -> float | None:
        """Age of the oldest pending entry; None without any."""

    @property
    def active_consumers(self) -> int:
        """Consumers that are alive."""

    @property
    def streams(self) -> Sequence[StreamLagReport]:
        """Each stream of the topic."""


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
        self._paused: set[tuple[str, str]] = set()
        self._cap_said_at: dict[str, float] = {}
        self._displaced_said_at: dict[str, float] = {}
        metrics.STREAMS_CONNECTED.set(1)

    def published(self, topic: str, count: int) -> None:
        """`count` events were written."""
        metrics.STREAMS_MESSAGES_PUBLISHED.labels(topic).inc(count)

    def refused(self, topic: str) -> None:
        """The queue is full; the publish failed."""
        metrics.STREAMS_PUBLISHES_REFUSED.labels(topic).inc()

    def consumed(
        self,
        topic: str,
        group: str,
        outcome: str,
        count: int,
        seconds: float,
        latency_seconds: float,
    ) -> None:
        """A handler ended.

        Args:
            topic: name of the topic.
            group: consumer group.
            outcome: what became of its events, as in ack.
            count: events with that outcome.
            seconds: time in the handler.
            latency_seconds: time from publish to acknowledgement, of the oldest of them.
        """
        _counter(topic, group, outcome).inc(count)
        duration, latency = _histograms(topic, group)
        trace = exemplar()
        duration.observe(seconds, trace)
        latency.observe(latency_seconds, trace)

    def lag_measured(self, lag: LagReport) -> None:
        """Where a group that this process consumes for stands now.

        Args:
            lag: the group on its topic; shown until the next report, or until it fades.
        """
        topic, group = lag.topic, lag.group
        metrics.STREAMS_LAG.set(lag.waiting, topic, group)
        metrics.STREAMS_DELAYED.set(lag.delayed, topic, group)
        metrics.STREAMS_OLDEST_PENDING.set(lag.oldest_pending_seconds or 0.0, topic, group)
        metrics.STREAMS_ACTIVE_CONSUMERS.set(lag.active_consumers, topic, group)
        metrics.STREAMS_DEAD_LETTERS_WAITING.set(lag.dead, topic)
        metrics.STREAMS_BREAKER_OPEN.set((topic, group) in self._paused, topic, group)
        for stream in lag.streams:
            metrics.REDIS_STREAM_LENGTH.set(stream.length, stream.key)
            metrics.REDIS_CONSUMER_LAG.set(stream.waiting, stream.key, group)
            metrics.REDIS_PENDING_MESSAGES.set(stream.pending, stream.key, group)

    def paused(self, topic: str, group: str, why: str) -> None:
        """The circuit breaker opened: nothing is taken until it closes."""
        self._paused.add((topic, group))
        metrics.STREAMS_BREAKER_OPEN.set(1, topic, group)
        log.warning("consumer paused", topic=topic, group=group, why=why)

    def resumed(self, topic: str, group: str) -> None:
        """The circuit breaker closed: messages are taken again."""
        self._paused.discard((topic, group))
        metrics.STREAMS_BREAKER_OPEN.set(0, topic, group)
        log.info("consumer resumed", topic=topic, group=group)

    def cap_reached(self, topic: str, stream: str, length: int, cap: int) -> None:
        """A stream is as long as it may become, and a publish was refused.

        Counted each time, logged once a minute: a publisher may try often.
        """
        metrics.STREAMS_CAP_REACHED.labels(topic).inc()
        now = time.monotonic()
        if now - self._cap_said_at.get(stream, -REMIND_SECONDS) >= REMIND_SECONDS:
            self._cap_said_at[stream] = now
            log.error(
                "stream full, publishes are refused: a group that reads it is stuck or gone",
                topic=topic,
                stream=stream,
                length=length,
                cap=cap,
            )

    def group_recreated(self, topic: str, group: str, cursor: str) -> None:
        """The server had lost the group; it resumes from `cursor`."""
        metrics.STREAMS_GROUPS_RECREATED.labels(topic, group).inc()
        log.warning("group recreated", topic=topic, group=group, cursor=cursor)

    def retried(self, topic: str, group: str) -> None:
        """One event will be handled again."""
        metrics.STREAMS_RETRIES.labels(topic, group).inc()

    def dead_lettered(self, topic: str, group: str, reason: str) -> None:
        """One event was given up."""
        metrics.STREAMS_DEAD_LETTERS.labels(topic, group, reason).inc()
        log.warning("dead letter", topic=topic, group=group, reason=reason)

    def displaced(
        self, topic: str, group: str, priority: int | None, by_priority: int | None
    ) -> None:
        """A full queue gave a message up for a stronger one.

        Counted each time as a dead letter, logged once a minute: a queue stays full for long.
        """
        metrics.STREAMS_DEAD_LETTERS.labels(topic, group, "queue-full").inc()
        now = time.monotonic()
        if now - self._displaced_said_at.get(topic, -REMIND_SECONDS) >= REMIND_SECONDS:
            self._displaced_said_at[topic] = now
            log.warning(
                "queue full, weaker messages become dead letters",
                topic=topic,
                group=group,
                given_up=priority,
                instead_for=by_priority,
            )

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
