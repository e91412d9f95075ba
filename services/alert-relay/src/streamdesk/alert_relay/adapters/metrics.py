"""What the relay counts."""

import math
from collections.abc import Iterable

from streamdesk.alert_relay.domain.journal import Admission, Book
from streamdesk.alert_relay.domain.message import Message
from streamdesk.alert_relay.domain.robot_reply import Answer, Outcome
from streamdesk.runtime import metrics


def admitted(admissions: Iterable[Admission]) -> None:
    """Notifications taken into the book."""
    for admission in admissions:
        metrics.ALERT_NOTIFICATIONS_ADMITTED.labels(admission).inc()


def answered(message: Message, answer: Answer, now: float, seconds: float) -> None:
    """A message and its outcome."""
    metrics.ALERT_MESSAGES.labels(answer.outcome.value).inc()
    metrics.ALERT_SEND_DURATION.observe(seconds)
    if answer.outcome is not Outcome.TOLD:
        return
    for notice in message.notices:
        metrics.ALERT_GROUPS_TOLD.labels(notice.status, notice.severity).inc()
        metrics.ALERT_DELAY.labels(notice.severity).observe(max(0.0, now - notice.since))


def given_up() -> None:
    """A notice that the robot refuses."""
    metrics.ALERT_GROUPS_GIVEN_UP.inc()


def standing(book: Book, now: float) -> None:
    """How the book of the active sender stands."""
    metrics.ALERT_SENDER_ACTIVE.set(1)
    metrics.ALERT_GROUPS_WAITING.set(len(book.waiting))
    oldest = book.oldest
    metrics.ALERT_OLDEST_WAITING.set(0 if math.isinf(oldest) else max(0.0, now - oldest))
    metrics.ALERT_ROBOT_QUIET.set(now < book.quiet_until)
    metrics.ALERT_ROBOT_STOPPED.set(book.stopped)


def idle() -> None:
    """This process is not the sender."""
    for gauge in (
        metrics.ALERT_SENDER_ACTIVE,
        metrics.ALERT_GROUPS_WAITING,
        metrics.ALERT_OLDEST_WAITING,
        metrics.ALERT_ROBOT_QUIET,
        metrics.ALERT_ROBOT_STOPPED,
    ):
        gauge.set(0)
