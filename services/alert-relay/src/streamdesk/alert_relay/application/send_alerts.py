"""The one active sender of all replicas: takes notifications in, tells people.

Who has the lease reads the book and holds it for a tenure. Each message is written down before it
is sent, and its outcome after; who finds a message without an outcome knows that it was perhaps
sent, and sends it again, marked: a message can come twice after a crash, never not at all.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Protocol
from uuid import uuid4

from streamdesk.alert_relay.adapters import metrics as measures
from streamdesk.alert_relay.adapters.journal_store import BookKeeper
from streamdesk.alert_relay.domain.alert_group import Notice
from streamdesk.alert_relay.domain.journal import Admission, Book
from streamdesk.alert_relay.domain.message import Message, Writer
from streamdesk.alert_relay.domain.pacing import Pace, Send, next_step
from streamdesk.alert_relay.domain.robot_reply import Answer, Outcome
from streamdesk.alert_relay.errors import BookLostError
from streamdesk.bus import Batch, BatchHandler, RetryAfter, Subscription
from streamdesk.bus import Outcome as BusOutcome
from streamdesk.contracts.events import AlertsNotified
from streamdesk.runtime import Drain, logger

log = logger("alert-relay")

MOST_ALERTS_WAITING = 5_000
"""In the book; what comes beyond waits on the stream."""

FULL_SECONDS = 5.0
LOST_SECONDS = 1.0
LOOK_SECONDS = 5.0
"""Between looks at the book when nothing happens, for the gauges."""

RENEWALS = 4
"""Renewals of the lease in its life."""


class Robot(Protocol):
    """Takes messages."""

    async def send(self, message: Message) -> Answer:
        """Send once; say what came of it."""


Report = Callable[[str], Awaitable[None]]
"""Tells the desk that nobody can be told, and why."""

Subscribe = Callable[[BatchHandler[AlertsNotified]], Subscription]


class Sender:
    """Sends while it has the lease.

    Args:
        keeper: the book and its lease.
        robot: takes messages.
        writer: writes them.
        subscribe: a new consumer of the queue, which calls this handler.
        report: called when the robot begins not to take our settings.
        pace: how fast.
        repeat_seconds: what people know they are told again only after so long.
        lease_seconds: life of the lease.
        clock: seconds since 1970, the same for all replicas.
    """

    def __init__(
        self,
        keeper: BookKeeper,
        robot: Robot,
        writer: Writer,
        subscribe: Subscribe,
        report: Report,
        *,
        pace: Pace,
        repeat_seconds: float,
        lease_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keeper = keeper
        self._robot = robot
        self._writer = writer
        self._subscribe = subscribe
        self._report = report
        self._pace = pace
        self._repeat_seconds = repeat_seconds
        self._renew_seconds = lease_seconds / RENEWALS
        self._clock = clock
        self._news = asyncio.Event()
        # What we know of the last message, should Redis not have been there to be told.
        self._last: tuple[str, Answer] = ("", Answer(Outcome.UNKNOWN))
        self._began = False

    async def run(self, drain: Drain) -> None:
        """Be the sender whenever nobody else is, until drained."""
        while not drain.requested.is_set():
            if await self._keeper.lease.acquire():
                await self._tenure(drain)
                pause = LOST_SECONDS
            else:
                pause = self._renew_seconds
            measures.idle()
            await drain.sleep(pause)

    async def _tenure(self, drain: Drain) -> None:
        over = asyncio.Event()
        renewing = asyncio.create_task(self._renew(over))
        try:
            await self._recover()
            log.info("sending", waiting=len(self._keeper.book.waiting))
            subscription = self._subscribe(lambda batch: self._take_in(batch, over))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._end(over, drain))
                group.create_task(subscription.run(over))
                group.create_task(self._send_all(over))
        except BookLostError as error:
            log.warning("not the sender any more", why=str(error))
        finally:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing
            await self._keeper.lease.release()

    async def _end(self, over: asyncio.Event, drain: Drain) -> None:
        ends = [asyncio.create_task(each.wait()) for each in (over, drain.requested)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for each in ends:
            each.cancel()
        over.set()
        self._news.set()

    async def _renew(self, over: asyncio.Event) -> None:
        while True:
            await asyncio.sleep(self._renew_seconds)
            if not await self._keeper.lease.acquire() and not self._keeper.lease.held:
                over.set()

    async def _recover(self) -> None:
        """Read the book; a message without an outcome gets the one that we know, or none."""
        await self._keeper.load()
        first, self._began = not self._began, True

        def settle(book: Book) -> None:
            if book.stopped and first:
                book.quiet_until = 0.0  # a new process may have new settings
            if book.flight is not None:
                flight_id, answer = self._last
                unknown = Answer(Outcome.UNKNOWN, "the relay ended before the robot's answer")
                self._landed(book, answer if flight_id == book.flight.id else unknown)

        await self._keeper.change(settle)

    # -- in -----------------------------------------------------------------------------------

    async def _take_in(
        self, batch: Batch[AlertsNotified], over: asyncio.Event
    ) -> dict[int, BusOutcome] | None:
        """Write a batch into the book; the bus brings it again until that is done."""
        if over.is_set() or self._keeper.book.alerts_waiting > MOST_ALERTS_WAITING:
            raise RetryAfter(FULL_SECONDS, "no room in the book, or no sender any more")
        now = self._clock()

        def admit(book: Book) -> list[Admission]:
            return [
                book.admit(message.event, message.id, now=now, repeat_seconds=self._repeat_seconds)
                for message in batch
            ]

        try:
            admissions = await self._keeper.change(admit)
        except BookLostError:
            over.set()
            raise RetryAfter(LOST_SECONDS, "the book was lost") from None
        measures.admitted(admissions)
        self._news.set()
        return None

    # -- out ----------------------------------------------------------------------------------

    async def _send_all(self, over: asyncio.Event) -> None:
        try:
            while not over.is_set():
                self._news.clear()
                measures.standing(self._keeper.book, self._clock())
                step = next_step(self._keeper.book, self._pace, self._clock())
                if isinstance(step, Send):
                    await self._send(step)
                    continue
                pause = min(step.until - self._clock(), LOOK_SECONDS)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(pause, 0.001)):
                        await self._news.wait()
        except BookLostError as error:
            log.warning("not the sender any more", why=str(error))
            over.set()

    async def _send(self, step: Send) -> None:
        message = self._writer.message(step.notices, self._clock())
        flight_id = uuid4().hex
        self._last = (flight_id, Answer(Outcome.NOT_SENT, "it was not sent"))
        now = self._clock()
        await self._keeper.change(lambda book: book.take_off(flight_id, message.notices, now))
        if not self._keeper.lease.held:
            raise BookLostError("the lease is about to end")
        began = time.perf_counter()
        self._last = (flight_id, Answer(Outcome.UNKNOWN, "it was cut off"))
        answer = await self._robot.send(message)
        self._last = (flight_id, answer)
        measures.answered(message, answer, self._clock(), time.perf_counter() - began)
        stopped = self._keeper.book.stopped
        await self._keeper.change(lambda book: self._landed(book, answer))
        if self._keeper.book.stopped and not stopped:
            await self._report(answer.reason)

    def _landed(self, book: Book, answer: Answer) -> None:
        now = self._clock()
        was_stopped = book.stopped
        for notice in book.land(answer, now):
            _give_up(notice, answer)
        book.forget(now, self._pace.window_seconds)
        if answer.outcome is Outcome.TOLD:
            return
        tell = log.error if book.stopped and not was_stopped else log.warning
        tell(
            "a message did not arrive",
            outcome=answer.outcome.value,
            why=answer.reason,
            next_in_seconds=round(max(0.0, book.quiet_until - now)),
        )


def _give_up(notice: Notice, answer: Answer) -> None:
    measures.given_up()
    log.error(
        "given up: the robot refuses what it says",
        why=answer.reason,
        notice=notice.model_dump(mode="json"),
    )
