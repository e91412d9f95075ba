"""Publishes changed HAMA states and the progress of tasks."""

import asyncio
import contextlib
import uuid
from collections import deque
from collections.abc import Sequence

from streamdesk.analysis.domain.hama import HamaAnalysis
from streamdesk.bus import Bus, BusUnavailableError, QueueFullError
from streamdesk.contracts.base import Event, Topic
from streamdesk.contracts.events import HamaChanged, TaskCompleted, TaskProgressed
from streamdesk.runtime import Drain, logger, metrics

log = logger(__name__)

MOST_WAITING_REPORTS = 1_000
AGAIN_SECONDS = 1.0
LAST_FLUSH_SECONDS = 2.0
_IDS = uuid.UUID("6f1f9f0e-6f0c-4d53-9f4e-6d1f8c6f3a52")
"""Namespace of the ids that are derived here."""

_Key = tuple[str, str, int]


def state_id(analysis: HamaAnalysis) -> str:
    """The event id of a state: equal in every replica, so that the bus drops a repetition."""
    moment = f"{analysis.as_of.timestamp():.3f}"
    return _id_of(analysis.symbol, analysis.preset, analysis.interval_seconds, moment)


def report_id(report: Event) -> str:
    """The event id of a report: the same when another process resumes its slot."""
    if isinstance(report, TaskProgressed):
        return _id_of(report.task_id, report.done, report.total)
    if isinstance(report, TaskCompleted):
        return _id_of(report.task_id, "completed", report.succeeded)
    return str(uuid.uuid4())


def _id_of(*words: object) -> str:
    return str(uuid.uuid5(_IDS, "/".join(str(word) for word in words)))


def changed_event(before: HamaAnalysis | None, after: HamaAnalysis) -> HamaChanged:
    """The event of a state that differs from the one before."""
    return HamaChanged(
        symbol=after.symbol,
        timestamp=after.as_of,
        preset=after.preset,
        interval_seconds=after.interval_seconds,
        state=after.state,
        previous_state=before.state if before is not None else None,
        score=after.score,
        trend=after.trend,
        colour=after.colour,
        signal=after.signal,
        bollinger=after.bollinger,
        close=after.close,
    )


class AnalysisPublisher:
    """Accepts events without waiting, and publishes them in the background.

    While the server is unavailable, the latest state of each instrument is kept, with the state
    before the first of those that were dropped, and the latest reports of tasks.

    Args:
        bus: where events are published.
        states: the topic of changed states.
        tasks: the topic of tasks.
    """

    def __init__(self, bus: Bus, states: Topic[HamaChanged], tasks: Topic[Event]) -> None:
        self._bus = bus
        self._states_topic = states
        self._tasks_topic = tasks
        self._states: dict[_Key, tuple[str, HamaChanged]] = {}
        self._reports: deque[Event] = deque()
        self._news = asyncio.Event()

    def changed(self, before: HamaAnalysis | None, after: HamaAnalysis) -> None:
        """Publish a state that differs from the one before."""
        key = (after.symbol, after.preset, after.interval_seconds)
        event = changed_event(before, after)
        waiting = self._states.pop(key, None)
        if waiting is not None:
            event = event.model_copy(update={"previous_state": waiting[1].previous_state})
        self._states[key] = (state_id(after), event)
        self._news.set()

    def report(self, event: Event) -> None:
        """Publish the progress of a task."""
        self._reports.append(event)
        if len(self._reports) > MOST_WAITING_REPORTS:
            self._reports.popleft()
            metrics.ANALYSIS_EVENTS_DROPPED.inc()
        self._news.set()

    async def run(self, drain: Drain) -> None:
        """Publish until the drain; `close` publishes the rest."""
        stopping = asyncio.create_task(drain.requested.wait())
        stopping.add_done_callback(lambda _: self._news.set())
        while not drain.requested.is_set():
            await self._news.wait()
            self._news.clear()
            flush = asyncio.create_task(self._flush())
            await asyncio.wait({flush, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not flush.done():
                # At the drain: a publish may wait long for an unavailable server.
                await asyncio.wait({flush}, timeout=LAST_FLUSH_SECONDS)
                flush.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                if not await flush:
                    self._news.set()
                    await drain.sleep(AGAIN_SECONDS)

    async def close(self) -> None:
        """Publish what is left, if the server answers; to be called after all else has ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_FLUSH_SECONDS):
                await self._flush()
        if self._states or self._reports:
            log.warning("not published", states=len(self._states), reports=len(self._reports))

    async def _flush(self) -> bool:
        """Publish all that waits; False when the server does not accept it, and the rest waits."""
        try:
            while self._reports:
                reports = list(self._reports)
                ids = [report_id(report) for report in reports]
                await self._bus.publish_many(self._tasks_topic, reports, event_ids=ids)
                self._drop(reports)
            while self._states:
                await self._flush_states()
        except (BusUnavailableError, QueueFullError) as error:
            log.warning("events wait for the server", error=str(error))
            return False
        return True

    async def _flush_states(self) -> None:
        waiting = dict(self._states)
        ids = [event_id for event_id, _ in waiting.values()]
        events = [event for _, event in waiting.values()]
        await self._bus.publish_many(self._states_topic, events, event_ids=ids)
        for key, written in waiting.items():
            if self._states.get(key) is written:
                del self._states[key]

    def _drop(self, written: Sequence[Event]) -> None:
        known = {id(event) for event in written}
        self._reports = deque(event for event in self._reports if id(event) not in known)
