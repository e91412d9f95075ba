"""The one active sender of all replicas: takes notifications in, tells people.

The holder of the lease reads the journal and keeps it for a tenure. Each message is written down
before it is sent, and its outcome after. A message without an outcome was possibly sent; it is sent
again, marked. After a crash a message can come twice, but none is lost.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Protocol
from uuid import uuid4

from streamdesk.alert_relay.adapters import metrics as measures
from streamdesk.alert_relay.adapters.journal_store import JournalStore
from streamdesk.alert_relay.domain.alert_group import AlertGroup
from streamdesk.alert_relay.domain.journal import Admission, AlertJournal
from streamdesk.alert_relay.domain.message import AlertMessage, MessageWriter
from streamdesk.alert_relay.domain.pacing import Send, SendQuota, next_step
from streamdesk.alert_relay.domain.robot_reply import DeliveryOutcome, RobotReply
from streamdesk.alert_relay.errors import JournalLostError
from streamdesk.bus import Batch, BatchHandler, Outcome, RetryAfter, Subscription
from streamdesk.contracts.events import AlertsNotified
from streamdesk.runtime import Drain, logger

log = logger("alert-relay")

MOST_ALERTS_WAITING = 5_000
"""In the journal; what comes beyond waits on the stream."""

FULL_SECONDS = 5.0
LOST_SECONDS = 1.0
LOOK_SECONDS = 5.0
"""Between looks at the journal when nothing happens, for the gauges."""

RENEWALS = 4
"""Renewals of the lease in its life."""


class DingTalkRobot(Protocol):
    """Takes messages."""

    async def send(self, message: AlertMessage) -> RobotReply:
        """Send once; say what came of it."""


Report = Callable[[str], Awaitable[None]]
"""Tells the desk that nobody can be told, and why."""

Subscribe = Callable[[BatchHandler[AlertsNotified]], Subscription]


class AlertSender:
    """Sends while it has the lease.

    Args:
        store: the journal and its lease.
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
        store: JournalStore,
        robot: DingTalkRobot,
        writer: MessageWriter,
        subscribe: Subscribe,
        report: Report,
        *,
        quota: SendQuota,
        repeat_seconds: float,
        lease_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._robot = robot
        self._writer = writer
        self._subscribe = subscribe
        self._report = report
        self._quota = quota
        self._repeat_seconds = repeat_seconds
        self._renew_seconds = lease_seconds / RENEWALS
        self._clock = clock
        self._news = asyncio.Event()
        # What we know of the last message, should Redis not have been there to be told.
        self._last: tuple[str, RobotReply] = ("", RobotReply(DeliveryOutcome.UNKNOWN))
        self._began = False

    async def run(self, drain: Drain) -> None:
        """Be the sender whenever nobody else is, until drained."""
        while not drain.requested.is_set():
            if await self._store.lease.acquire():
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
            log.info("sending", waiting=len(self._store.journal.waiting))
            subscription = self._subscribe(lambda batch: self._take_in(batch, over))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._end(over, drain))
                tasks.create_task(subscription.run(over))
                tasks.create_task(self._send_all(over))
        except JournalLostError as error:
            log.warning("not the sender any more", why=str(error))
        finally:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing
            await self._store.lease.release()

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
            if not await self._store.lease.acquire() and not self._store.lease.held:
                over.set()

    async def _recover(self) -> None:
        """Read the journal; a message without an outcome gets the one that we know, or none."""
        await self._store.load()
        first, self._began = not self._began, True

        def settle(journal: AlertJournal) -> None:
            if journal.stopped and first:
                journal.quiet_until = 0.0  # a new process may have new settings
            if journal.in_flight is not None:
                message_id, answer = self._last
                unknown = RobotReply(
                    DeliveryOutcome.UNKNOWN, "the relay ended before the robot's answer"
                )
                self._landed(journal, answer if message_id == journal.in_flight.id else unknown)

        await self._store.change(settle)

    # -- in -----------------------------------------------------------------------------------

    async def _take_in(
        self, batch: Batch[AlertsNotified], over: asyncio.Event
    ) -> dict[int, Outcome] | None:
        """Write a batch into the journal; the bus brings it again until that is done."""
        if over.is_set() or self._store.journal.alerts_waiting > MOST_ALERTS_WAITING:
            raise RetryAfter(FULL_SECONDS, "no room in the journal, or no sender any more")
        now = self._clock()

        def admit(journal: AlertJournal) -> list[Admission]:
            return [
                journal.admit(
                    message.event, message.id, now=now, repeat_seconds=self._repeat_seconds
                )
                for message in batch
            ]

        try:
            admissions = await self._store.change(admit)
        except JournalLostError:
            over.set()
            raise RetryAfter(LOST_SECONDS, "the journal was lost") from None
        measures.admitted(admissions)
        self._news.set()
        return None

    # -- out ----------------------------------------------------------------------------------

    async def _send_all(self, over: asyncio.Event) -> None:
        try:
            while not over.is_set():
                self._news.clear()
                measures.standing(self._store.journal, self._clock())
                step = next_step(self._store.journal, self._quota, self._clock())
                if isinstance(step, Send):
                    await self._send(step)
                    continue
                pause = min(step.until - self._clock(), LOOK_SECONDS)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(pause, 0.001)):
                        await self._news.wait()
        except JournalLostError as error:
            log.warning("not the sender any more", why=str(error))
            over.set()

    async def _send(self, step: Send) -> None:
        message = self._writer.message(step.groups, self._clock())
        message_id = uuid4().hex
        self._last = (message_id, RobotReply(DeliveryOutcome.NOT_SENT, "it was not sent"))
        now = self._clock()
        await self._store.change(lambda journal: journal.take_off(message_id, message.groups, now))
        if not self._store.lease.held:
            raise JournalLostError("the lease is about to end")
        began = time.perf_counter()
        self._last = (message_id, RobotReply(DeliveryOutcome.UNKNOWN, "it was cut off"))
        answer = await self._robot.send(message)
        self._last = (message_id, answer)
        measures.answered(message, answer, self._clock(), time.perf_counter() - began)
        stopped = self._store.journal.stopped
        await self._store.change(lambda journal: self._landed(journal, answer))
        if self._store.journal.stopped and not stopped:
            await self._report(answer.reason)

    def _landed(self, journal: AlertJournal, answer: RobotReply) -> None:
        now = self._clock()
        was_stopped = journal.stopped
        for group in journal.land(answer, now):
            _give_up(group, answer)
        journal.forget(now, self._quota.window_seconds)
        if answer.outcome is DeliveryOutcome.DELIVERED:
            return
        tell = log.error if journal.stopped and not was_stopped else log.warning
        tell(
            "a message did not arrive",
            outcome=answer.outcome.value,
            why=answer.reason,
            next_in_seconds=round(max(0.0, journal.quiet_until - now)),
        )


def _give_up(group: AlertGroup, answer: RobotReply) -> None:
    measures.given_up()
    log.error(
        "given up: the robot refuses what it says",
        why=answer.reason,
        group=group.model_dump(mode="json"),
    )
