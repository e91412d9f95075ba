"""Send alerts: the one active sender of all replicas.

The holder of the lease reads the journal and keeps it for a tenure. Each message is recorded before
it is sent, and its outcome after. A message without an outcome was possibly sent; it is sent again,
marked. After a crash a message can arrive twice, but none is lost.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from uuid import uuid4

from streamdesk.alert_relay.adapters import metrics
from streamdesk.alert_relay.adapters.journal_store import JournalStore
from streamdesk.alert_relay.adapters.robot import Robot
from streamdesk.alert_relay.domain.alert_group import AlertGroup
from streamdesk.alert_relay.domain.journal import Admission, AlertJournal
from streamdesk.alert_relay.domain.message import MessageWriter
from streamdesk.alert_relay.domain.pacing import Send, SendQuota, next_step
from streamdesk.alert_relay.domain.robot_reply import DeliveryOutcome, RobotReply
from streamdesk.alert_relay.errors import JournalLostError
from streamdesk.bus import Batch, BatchHandler, Outcome, RetryAfter, Subscription
from streamdesk.contracts.events import AlertsNotified
from streamdesk.runtime import Drain, logger

log = logger(__name__)

MOST_ALERTS_WAITING = 5_000
"""In the journal; further notifications wait on the stream."""

FULL_SECONDS = 5.0
LOST_SECONDS = 1.0
LOOK_SECONDS = 5.0
"""Longest pause between two updates of the gauges."""

RENEWALS = 4
"""Renewals of the lease in its lifetime."""

Report = Callable[[str], Awaitable[None]]
"""Reports to the desk that alerts do not reach people, and why."""

Subscribe = Callable[[BatchHandler[AlertsNotified]], Subscription]


class AlertSender:
    """Sends alerts while it holds the lease.

    Args:
        store: the journal and its lease.
        robot: delivers messages.
        writer: writes messages.
        subscribe: starts a consumer of the queue, which calls this handler.
        report: called when the robot starts to reject our settings.
        quota: how many messages the robot may be sent.
        repeat_seconds: how long something that people know is not repeated.
        lease_seconds: lifetime of the lease.
        clock: seconds since 1970, the same for all replicas.
    """

    def __init__(
        self,
        store: JournalStore,
        robot: Robot,
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
        # The outcome of the last message, in case Redis was unavailable when it was to be recorded.
        self._last: tuple[str, RobotReply] = ("", RobotReply(DeliveryOutcome.UNKNOWN))
        self._began = False

    async def run(self, drain: Drain) -> None:
        """Be the sender whenever no other process is, until drained."""
        while not drain.requested.is_set():
            if await self._store.lease.acquire():
                await self._tenure(drain)
                pause = LOST_SECONDS
            else:
                pause = self._renew_seconds
            metrics.show_idle()
            await drain.sleep(pause)

    async def _tenure(self, drain: Drain) -> None:
        over = asyncio.Event()
        renewing = asyncio.create_task(self._renew(over))
        try:
            await self._recover()
            log.info("sending", waiting=len(self._store.journal.waiting))
            subscription = self._subscribe(lambda batch: self._admit(batch, over))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._end(over, drain))
                tasks.create_task(subscription.run(over))
                tasks.create_task(self._send_all(over))
        except JournalLostError as error:
            log.warning("no longer the sender", why=str(error))
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
            # A failed renewal alone ends nothing: the lease is held until its time is up.
            if not await self._store.lease.acquire() and not self._store.lease.held:
                over.set()

    async def _recover(self) -> None:
        """Read the journal, and record an outcome for a message that has none."""
        await self._store.load()
        first, self._began = not self._began, True

        def settle(journal: AlertJournal) -> None:
            if journal.stopped and first:
                journal.quiet_until = 0.0  # a new process may have new settings
            if journal.in_flight is not None:
                message_id, reply = self._last
                cut_off = RobotReply(
                    DeliveryOutcome.UNKNOWN, "the relay ended before the robot's reply"
                )
                # This process knows the reply to its own last message, though Redis does not;
                # what became of another process's message nobody knows.
                is_ours = message_id == journal.in_flight.id
                self._record_reply(journal, reply if is_ours else cut_off)

        await self._store.change(settle)

    # -- notifications in -----------------------------------------------------------------------

    async def _admit(
        self, batch: Batch[AlertsNotified], over: asyncio.Event
    ) -> dict[int, Outcome] | None:
        """Add a batch to the journal; the bus delivers it again until that succeeds."""
        if over.is_set() or self._store.journal.alerts_waiting > MOST_ALERTS_WAITING:
            raise RetryAfter(FULL_SECONDS, "the journal is full, or the tenure is over")
        now = self._clock()

        def admit(journal: AlertJournal) -> list[Admission]:
            repeat = self._repeat_seconds
            return [
                journal.admit(message.event, message.id, now=now, repeat_seconds=repeat)
                for message in batch
            ]

        try:
            admissions = await self._store.change(admit)
        except JournalLostError:
            over.set()
            raise RetryAfter(LOST_SECONDS, "the journal was lost") from None
        metrics.count_admissions(admissions)
        self._news.set()
        return None

    # -- messages out ---------------------------------------------------------------------------

    async def _send_all(self, over: asyncio.Event) -> None:
        try:
            while not over.is_set():
                self._news.clear()
                metrics.show_journal(self._store.journal, self._clock())
                step = next_step(self._store.journal, self._quota, self._clock())
                if isinstance(step, Send):
                    await self._send(step)
                    continue
                pause = min(step.until - self._clock(), LOOK_SECONDS)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(pause, 0.001)):
                        await self._news.wait()
        except JournalLostError as error:
            log.warning("no longer the sender", why=str(error))
            over.set()

    async def _send(self, step: Send) -> None:
        message = self._writer.message(step.groups, self._clock())
        message_id = uuid4().hex
        self._last = (message_id, RobotReply(DeliveryOutcome.NOT_SENT, "it was not sent"))
        now = self._clock()
        await self._store.change(
            lambda journal: journal.record_sending(message_id, message.groups, now)
        )
        # The write may have taken long: another replica may read the journal from here on.
        if not self._store.lease.held:
            raise JournalLostError("the lease is about to end")
        began = time.perf_counter()
        self._last = (message_id, RobotReply(DeliveryOutcome.UNKNOWN, "it was cut off"))
        reply = await self._robot.send(message)
        self._last = (message_id, reply)
        metrics.count_message(message, reply, self._clock(), time.perf_counter() - began)
        stopped = self._store.journal.stopped
        await self._store.change(lambda journal: self._record_reply(journal, reply))
        if self._store.journal.stopped and not stopped:
            await self._report(reply.reason)

    def _record_reply(self, journal: AlertJournal, reply: RobotReply) -> None:
        now = self._clock()
        was_stopped = journal.stopped
        for group in journal.record_reply(reply, now):
            _give_up(group, reply)
        journal.forget(now, self._quota.window_seconds)
        if reply.outcome is DeliveryOutcome.DELIVERED:
            return
        say = log.error if journal.stopped and not was_stopped else log.warning
        say(
            "message not delivered",
            outcome=reply.outcome.value,
            why=reply.reason,
            next_in_seconds=round(max(0.0, journal.quiet_until - now)),
        )


def _give_up(group: AlertGroup, reply: RobotReply) -> None:
    metrics.count_given_up()
    log.error(
        "group given up: the robot refuses its content",
        why=reply.reason,
        group=group.model_dump(mode="json"),
    )
