"""Publishes the outcomes of a run, each event once, without delaying the computation."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from streamdesk.analysis.adapters.run_folder.run_folder import RunFolder
from streamdesk.analysis.adapters.task_events import TaskEvents
from streamdesk.analysis.domain.chunk import ChunkValues
from streamdesk.analysis.domain.job import NAME, RunPlan, closing_words, event_id, new_percent
from streamdesk.bus import BusError
from streamdesk.contracts.base import Event
from streamdesk.contracts.events import StockIndicatorsCompleted, TaskCompleted, TaskProgressed
from streamdesk.runtime import logger

log = logger(__name__)

AGAIN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _Batch:
    """Events that are published together, and the call that notes it."""

    events: list[Event]
    ids: list[str]
    mark: Callable[[], None]
    stocks: int = 0


class RunPublisher:
    """Publishes in a task of its own: the computation never waits for the server.

    Args:
        events: the topic; None to publish nothing.
        plan: of the run.
        folder: of the run, which notes what is published.
        clock: the time of day, with its zone.
        published: stocks whose outcome an earlier attempt published.
        warned: whether an earlier attempt has logged that the bus is unavailable.
    """

    def __init__(
        self,
        events: TaskEvents | None,
        plan: RunPlan,
        folder: RunFolder,
        clock: Callable[[], datetime],
        *,
        published: int,
        warned: bool,
    ) -> None:
        self._events = events
        self._plan = plan
        self._folder = folder
        self._clock = clock
        self._waiting: asyncio.Queue[_Batch | None] = asyncio.Queue()
        self._stocks = published  # of published and waiting batches
        self._ending = False
        self._task: asyncio.Task[bool] | None = None
        self.warned = warned
        self.published = published
        """Stocks whose outcome is published."""

    def begin(self) -> None:
        """Publish that the run begins or resumes, and start to publish."""
        self._put([self._progressed(self._stocks)], lambda: None)
        self._task = asyncio.create_task(self._publish())

    def chunk(self, number: int, values: ChunkValues) -> None:
        """Publish a computed chunk."""
        entries: list[tuple[Event, str]] = []
        for at, symbol in enumerate(values.symbols):
            if not values.errors[at]:
                entries += self._completed(symbol, values.indicators(at))
            self._stocks += 1
            if new_percent(self._stocks, self._plan.stocks) is not None:
                entries.append(self._progressed(self._stocks, symbol))
        self._put(entries, lambda: self._folder.mark_published(number), stocks=len(values))

    async def end(self, failed: dict[str, str], *, succeeded: bool) -> bool:
        """Publish the end of the run; returns whether all events are published.

        Waits for the server if it answers.
        """
        now = self._clock()
        completed = TaskCompleted(
            task_id=self._plan.run_id,
            timestamp=now,
            name=NAME,
            succeeded=succeeded,
            duration_seconds=max(0.0, (now - self._plan.began_at).total_seconds()),
            message=closing_words(self._plan.stocks, failed),
        )
        last = (completed, event_id(self._plan.run_id, "end"))
        self._put([last], self._folder.mark_all_published)
        self._waiting.put_nowait(None)
        self._ending = True
        if self._task is None:
            return False
        if self._events is None:
            # Without a bus the batches are only marked: the run counts as completed, though its
            # report says that nothing was published.
            await self._task
            return False
        # A publish repeats until it succeeds. Now that the job waits for it, the server is asked
        # first: an unavailable one must not keep the job from its end.
        if not self._task.done() and not await self._events.answers():
            self._warn("no answer")
            await self.close()
            return False
        return await self._task

    async def close(self) -> None:
        """Stop publishing; what waits is left to a later attempt."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})

    def _put(
        self, entries: list[tuple[Event, str]], mark: Callable[[], None], stocks: int = 0
    ) -> None:
        events, ids = [event for event, _ in entries], [identity for _, identity in entries]
        self._waiting.put_nowait(_Batch(events, ids, mark, stocks))

    async def _publish(self) -> bool:
        """Publish batches until the end; returns whether all are published."""
        if self._events is not None and not await self._events.answers():
            self._warn("no answer")
        while (batch := await self._waiting.get()) is not None:
            if not await self._write(batch):
                return False
            batch.mark()
            self.published += batch.stocks
        return True

    async def _write(self, batch: _Batch) -> bool:
        while self._events is not None:
            try:
                await self._events.write(batch.events, batch.ids)
            except BusError as error:
                self._warn(str(error))
                if self._ending:  # the job waits: leave the rest to a later attempt
                    return False
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                break
        return True

    def _warn(self, why: str) -> None:
        if not self.warned:  # once a run: the bus may be unavailable for all of it
            self.warned = True
            log.warning(
                "the bus does not accept the job's events; the job continues, and publishes them "
                "later if it can",
                run=self._plan.run_id,
                why=why,
            )

    def _progressed(self, done: int, symbol: str = "") -> tuple[Event, str]:
        total = self._plan.stocks
        event = TaskProgressed(
            task_id=self._plan.run_id,
            timestamp=self._clock(),
            name=NAME,
            done=done,
            total=total,
            message=symbol,
        )
        return event, event_id(self._plan.run_id, f"{done * 100 // total} %")

    def _completed(self, symbol: str, values: dict[str, float]) -> list[tuple[Event, str]]:
        try:
            event = StockIndicatorsCompleted(
                task_id=self._plan.run_id,
                timestamp=self._clock(),
                symbol=symbol,
                indicators=values,
            )
        except ValidationError:
            log.warning("not published: not a valid symbol", symbol=symbol)
            return []
        return [(event, event_id(self._plan.run_id, symbol))]
