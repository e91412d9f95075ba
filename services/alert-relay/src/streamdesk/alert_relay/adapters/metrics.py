"""The relay's metrics."""

import math
from collections.abc import Iterable

from streamdesk.alert_relay.domain.journal import Admission, AlertJournal
from streamdesk.alert_relay.domain.message import AlertMessage
from streamdesk.alert_relay.domain.robot_reply import DeliveryOutcome, RobotReply
from streamdesk.runtime import metrics


def count_admissions(admissions: Iterable[Admission]) -> None:
    """Count notifications that were added to the journal, or found to be repeats."""
    for admission in admissions:
        metrics.ALERT_NOTIFICATIONS_ADMITTED.labels(admission).inc()


def count_message(message: AlertMessage, reply: RobotReply, now: float, seconds: float) -> None:
    """Count a message and its outcome."""
    metrics.ALERT_MESSAGES.labels(reply.outcome.value).inc()
    metrics.ALERT_SEND_DURATION.observe(seconds)
    if reply.outcome is not DeliveryOutcome.DELIVERED:
        return
    for group in message.groups:
        metrics.ALERT_GROUPS_TOLD.labels(group.status, group.severity).inc()
        metrics.ALERT_DELAY.labels(group.severity).observe(max(0.0, now - group.since))


def count_given_up() -> None:
    """Count a group that the robot refuses."""
    metrics.ALERT_GROUPS_GIVEN_UP.inc()


def show_journal(journal: AlertJournal, now: float) -> None:
    """Show the state of the active sender's journal."""
    metrics.ALERT_SENDER_ACTIVE.set(1)
    metrics.ALERT_GROUPS_WAITING.set(len(journal.waiting))
    oldest = journal.oldest
    metrics.ALERT_OLDEST_WAITING.set(0 if math.isinf(oldest) else max(0.0, now - oldest))
    metrics.ALERT_ROBOT_QUIET.set(now < journal.quiet_until)
    metrics.ALERT_ROBOT_STOPPED.set(journal.stopped)


def show_idle() -> None:
    """Show that this process is not the active sender."""
    for gauge in (
        metrics.ALERT_SENDER_ACTIVE,
        metrics.ALERT_GROUPS_WAITING,
        metrics.ALERT_OLDEST_WAITING,
        metrics.ALERT_ROBOT_QUIET,
        metrics.ALERT_ROBOT_STOPPED,
    ):
        gauge.set(0)
