"""Send a test alert, and report whether it was delivered."""

import asyncio
import time
from collections.abc import Callable, Iterable

from streamdesk.alert_relay.adapters.journal_store import read_journal
from streamdesk.alert_relay.adapters.robot import Robot
from streamdesk.alert_relay.domain.alert_group import AlertGroup
from streamdesk.alert_relay.domain.journal import AlertJournal
from streamdesk.alert_relay.domain.message import MessageWriter
from streamdesk.alert_relay.domain.robot_reply import DeliveryOutcome
from streamdesk.bus import Bus
from streamdesk.contracts import Topic
from streamdesk.contracts.events import AlertsNotified

POLL_SECONDS = 0.2
ARRIVED = "arrived"


async def send_directly(
    events: Iterable[AlertsNotified],
    robot: Robot,
    writer: MessageWriter,
    clock: Callable[[], float] = time.time,
) -> str:
    """Send test alerts to the robot, without the queue.

    Args:
        events: the alerts, sent one after another.
        robot: delivers them.
        writer: writes the messages.
        clock: seconds since 1970.

    Returns:
        `ARRIVED`, or why the first that failed was not delivered.
    """
    for event in events:
        reply = await robot.send(writer.message([AlertGroup.of(event)], clock()))
        if reply.outcome is not DeliveryOutcome.DELIVERED:
            return reply.reason
    return ARRIVED


async def send_through_queue(
    events: Iterable[AlertsNotified], bus: Bus, topic: Topic[AlertsNotified], wait_seconds: float
) -> str:
    """Queue test alerts, and wait until the running relay has delivered them.

    Args:
        events: the alerts, queued one after another.
        bus: of the relay.
        topic: its queue.
        wait_seconds: longest wait for each.

    Returns:
        `ARRIVED`, or why the first that failed was not delivered in time.

    Raises:
        BusError: Redis is unavailable.
    """
    for event in events:
        await bus.publish(topic, event)
        why = await _arrival(bus, event, wait_seconds)
        if why != ARRIVED:
            return why
    return ARRIVED


async def _arrival(bus: Bus, event: AlertsNotified, wait_seconds: float) -> str:
    deadline = time.monotonic() + wait_seconds
    while True:
        journal, is_sending = await read_journal(bus.keys)
        known = journal.notified.get(event.group_key)
        if known is not None and known.status == event.status:
            return ARRIVED
        if journal.stopped and event.group_key in journal.waiting:
            return f"the robot rejects our settings: {journal.trouble}"
        if time.monotonic() > deadline:
            return _why_not(journal, is_sending=is_sending)
        await asyncio.sleep(POLL_SECONDS)


def _why_not(journal: AlertJournal, *, is_sending: bool) -> str:
    if not is_sending:
        return "no alert relay runs on this Redis: start it, the test alert waits in the queue"
    if journal.trouble:
        return f"not yet, the relay tries again: {journal.trouble}"
    return f"not yet: {len(journal.waiting)} groups wait for their turn"
