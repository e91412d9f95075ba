"""Everything this service publishes: bars, signals, and what it is doing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from streamdesk.bus import Bus, QueueFullError, ServerFullError
from streamdesk.contracts.base import Event, Topic
from streamdesk.contracts.events import (
    BarClosed,
    Severity,
    SignalGenerated,
    StrategyUpdated,
    SystemEvent,
)
from streamdesk.runtime import Drain, logger, metrics
from streamdesk.strategy.signals import STRATEGY, SignalDraft

log = logger(__name__)

SERVICE = "signal-generator"
FIRST_WAIT_SECONDS = 0.02
LONGEST_WAIT_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class GeneratorTopics:
    """The topic of each kind of event, with the configured keys and limits."""

    bars: Topic[BarClosed]
    signals: Topic[SignalGenerated]
    strategy: Topic[StrategyUpdated]
    system: Topic[SystemEvent]
    tasks: Topic[Event]


class SignalPublisher:
    """Publishes bars, signals and reports on the bus.

    Args:
        bus: the bus.
        topics: the topics to publish on.
        clock: the time of day.
        wait_for_room: at a full queue, wait instead of dropping the signal.
    """

    def __init__(
        self,
        bus: Bus,
        topics: GeneratorTopics,
        clock: Callable[[], datetime],
        *,
        wait_for_room: bool,
    ) -> None:
        self._bus = bus
        self._topics = topics
        self._clock = clock
        self._wait_for_room = wait_for_room
        self._dropped_in_a_row = 0

    async def signal(self, draft: SignalDraft, drain: Drain, event_id: str) -> bool:
        """One signal under this id; return whether it is in the queue.

        At a full queue the signal is dropped and counted, or waits for room until the drain is
        requested.
        """
        wait = FIRST_WAIT_SECONDS
        while True:
            try:
                event = draft.queued(self._clock())
                await self._bus.publish(self._topics.signals, event, event_id=event_id)
            except (QueueFullError, ServerFullError) as error:
                # A live market does not wait: its next bars say more than this signal.
                if not self._wait_for_room:
                    self._dropped(draft, error)
                    return False
                if await drain.sleep(wait):
                    log.info(
                        "signal not sent: stopped while the queue is full", symbol=draft.symbol
                    )
                    return False
                wait = min(LONGEST_WAIT_SECONDS, wait * 2)
            else:
                break
        self._queued(draft)
        return True

    def _queued(self, draft: SignalDraft) -> None:
        metrics.SIGNALS_GENERATED.labels(draft.type).inc()
        metrics.SIGNAL_SCORES.observe(draft.score.score)
        if self._dropped_in_a_row:
            log.info("a signal was queued again", signals_dropped=self._dropped_in_a_row)
            self._dropped_in_a_row = 0

    def _dropped(self, draft: SignalDraft, error: QueueFullError | ServerFullError) -> None:
        """Count every dropped signal; log only the first in a row."""
        metrics.SIGNALS_QUEUE_FULL.inc()
        self._dropped_in_a_row += 1
        if self._dropped_in_a_row == 1:
            log.warning(
                "queue full, signals are dropped",
                symbol=draft.symbol,
                score=draft.score.score,
                why=str(error),
            )

    async def strategy(self, parameters: Mapping[str, float], message: str) -> None:
        """The rules in force, by name."""
        event = StrategyUpdated(
            strategy=STRATEGY,
            parameters=dict(parameters),
            message=message,
            timestamp=self._clock(),
        )
        await self._bus.publish(self._topics.strategy, event)

    async def system(self, kind: str, message: str, details: Mapping[str, str]) -> None:
        """An event of this service, as in started."""
        event = SystemEvent(
            service=SERVICE,
            kind=kind,
            severity=Severity.INFO,
            message=message,
            details=dict(details),
            timestamp=self._clock(),
        )
        await self._bus.publish(self._topics.system, event)

    async def task(self, event: Event | None) -> None:
        """A report of a task; None is nothing to report."""
        if event is not None:
            await self._bus.publish(self._topics.tasks, event)
