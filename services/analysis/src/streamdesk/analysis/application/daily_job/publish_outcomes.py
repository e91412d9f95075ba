"""What a run says on the bus: each event once, and nothing that keeps it from computing."""

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
    """What is written together, and the mark for it."""

    events: list[Event]
    ids: list[str]
    mark: Callable[[], None]
    stocks: int = 0


class RunPublisher:
    """Publishes beside the computing: that never waits for the server.

    Args:
        events: where to; None to tell nobody.
        plan: of the run.
        folder: of the run, where is marked what was published.
        clock: tells the time.
        published: stocks that an earlier attempt has told of.
        said: whether an earlier attempt has said that the bus is away.
    """

    def __init__(
        self,
        events: TaskEvents | None,
        plan: RunPlan,
        folder: RunFolder,
        clock: Callable[[], datetime],
        *,
        published: int,
        said: bool,
    ) -> None:
        self._events = events
        self._plan = plan
        self._folder = folder
        self._clock = clock
        self._waiting: asyncio.Queue[_Batch | None] = asyncio.Queue()
        self._told_of = published  # stocks in batches, those that wait included
        self._ending = False
        self._task: asyncio.Task[bool] | None = None
        self.said = said
        self.published = published
        """Stocks whose outcome the bus has."""

    def begin(self) -> None:
        """The run begins, or goes on."""
        self._put([self._progressed(self._told_of)], lambda: None)
        self._task = asyncio.create_task(self._publish())

    def chunk(self, number: int, values: ChunkValues) -> None:
        """A chunk is computed."""
        entries: list[tuple[Event, str]] = []
        for at, symbol in enumerate(values.symbols):
            if not values.errors[at]:
                entries += self._completed(symbol, values.indicators(at))
            self._told_of += 1
            if new_percent(self._told_of, self._plan.stocks) is not None:
                entries.append(self._progressed(self._told_of, symbol))
        self._put(entries, lambda: self._folder.mark_published(number), stocks=len(values))

    async def end(self, failed: dict[str, str], *, succeeded: bool) -> bool:
        """All is computed; return whether the bus has all events.

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
        self._put([last], self._folder.mark_told)
        self._waiting.put_nowait(None)
        self._ending = True
        if self._task is None:
            return False
        if self._events is None:
            await self._task
            return False
        if not self._task.done() and not await self._events.answers():
            self._say("no answer")
            await self.close()
            return False
        return await self._task

    async def close(self) -> None:
        """Stop publishing, whatever waits."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})

    def _put(
        self, entries: list[tuple[Event, str]], mark: Callable[[], None], stocks: int = 0
    ) -> None:
        events, ids = [event for event, _ in entries], [identity for _, identity in entries]
        self._waiting.put_nowait(_Batch(events, ids, mark, stocks))

    async def _publish(self) -> bool:
        """Whether all was published."""
        if self._events is not None and not await self._events.answers():
            self._say("no answer")
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
                self._say(str(error))
                if self._ending:
                    return False
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                break
        return True

    def _say(self, why: str) -> None:
        if not self.said:
            self.said = True
            log.warning(
                "the bus does not take the job's events; it computes all the same, and tells "
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
            log.warning("not told: no symbol that travels on the bus", symbol=symbol)
            return []
        return [(event, event_id(self._plan.run_id, symbol))]
