"""The alert journal: what waits, what people know, what is in flight, when the robot may be used.

It is one value in Redis, written by the active sender before and after each message. After a
restart or a crash the next sender continues from it.
"""

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from streamdesk.alert_relay.domain.alert_group import AlertGroup
from streamdesk.alert_relay.domain.robot_reply import DeliveryOutcome, RobotReply
from streamdesk.contracts.events import AlertsNotified, AlertStatus

Admission = Literal["new", "merged", "duplicate", "repeated"]

REMEMBERED_EVENTS = 1_000
"""Ids of admitted events, to recognise one that the bus delivers again."""

REMEMBERED_GROUPS = 2_000
REMEMBERED_SECONDS = 7 * 86_400.0
REMEMBERED_ALERTS = 50
"""Most fingerprints kept of a reported group; of a larger group none are kept."""

BLOCKED_SECONDS = 600.0
"""How long DingTalk cuts off a robot that was sent too many messages."""

RETRY_SECONDS = 600.0
"""Between attempts with settings that the robot rejects: its own settings may be corrected."""

MOST_REFUSALS = 3
"""Attempts with a message whose content the robot refuses."""

# First pause and longest, seconds; it doubles with each failure in a row.
_PAUSES = {
    DeliveryOutcome.TOO_FAST: (60.0, BLOCKED_SECONDS),
    DeliveryOutcome.BLOCKED: (BLOCKED_SECONDS, BLOCKED_SECONDS),
    DeliveryOutcome.MISCONFIGURED: (RETRY_SECONDS, RETRY_SECONDS),
    DeliveryOutcome.REFUSED: (5.0, 60.0),
    DeliveryOutcome.NOT_SENT: (2.0, 60.0),
    DeliveryOutcome.UNKNOWN: (10.0, 300.0),
}


class NotifiedGroup(BaseModel):
    """What people know about a group.

    Attributes:
        mark: the group's.
        status: the group's.
        at: when the message was delivered, seconds since 1970.
        received_at: when the newest notification in it was received, likewise.
        fingerprints: the alerts that the message named; empty where those were many.
    """

    mark: str
    status: AlertStatus
    at: float
    received_at: float
    fingerprints: list[str] = Field(default_factory=list)


class MessagePart(BaseModel):
    """A group in a message, as it was when the message was sent."""

    mark: str
    status: AlertStatus
    received_at: float


class InFlightMessage(BaseModel):
    """A message that was recorded; it may have been sent, and it may have been delivered.

    Attributes:
        id: unique.
        parts: the groups in it, by key.
    """

    id: str
    parts: dict[str, MessagePart]


class AlertJournal(BaseModel):
    """All that the relay remembers.

    Attributes:
        waiting: groups that are still to be reported, by key.
        notified: what people know, by group key.
        sent: when the messages of the current window were sent or answered; seconds since 1970.
        in_flight: the message whose outcome is not recorded yet.
        quiet_until: nothing is sent before; seconds since 1970.
        failures: messages in a row that were not delivered.
        trouble: why the last one was not; empty when it was.
        stopped: the robot rejects our settings.
        admitted: ids of the last admitted events.
    """

    # The stored JSON keeps the names `told` and `flight`: replicas of both versions read it.
    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    waiting: dict[str, AlertGroup] = Field(default_factory=dict)
    notified: dict[str, NotifiedGroup] = Field(default_factory=dict, alias="told")
    sent: list[float] = Field(default_factory=list)
    in_flight: InFlightMessage | None = Field(default=None, alias="flight")
    quiet_until: float = 0.0
    failures: int = 0
    trouble: str = ""
    stopped: bool = False
    admitted: list[str] = Field(default_factory=list)

    @property
    def alerts_waiting(self) -> int:
        """Alerts in the groups that wait."""
        return sum(len(group.alerts) for group in self.waiting.values())

    @property
    def oldest(self) -> float:
        """When the oldest waiting notification was received; infinity when nothing waits."""
        return min((group.since for group in self.waiting.values()), default=math.inf)

    def admit(
        self, event: AlertsNotified, event_id: str, *, now: float, repeat_seconds: float
    ) -> Admission:
        """Add a notification to what waits, unless people know it.

        Args:
            event: the notification.
            event_id: the same at each delivery by the bus.
            now: seconds since 1970.
            repeat_seconds: how long something that people know is not repeated.
        """
        # The bus delivers at least once, and its copy may come after newer news of the group.
        if event_id in self.admitted:
            return "repeated"
        self.admitted = [*self.admitted, event_id][-REMEMBERED_EVENTS:]
        key, group = event.group_key, AlertGroup.of(event)
        waiting, known = self.waiting.get(key), self.notified.get(key)
        if waiting is not None:
            # Nothing was reported yet: one message with the newest state replaces two.
            merged = waiting.merged(group)
            if merged.mark == waiting.mark:
                return "duplicate"
            self.waiting[key] = merged
            return "merged"
        if known is not None and known.received_at > group.received_at:
            # Newer news of the group overtook it. Alerts that these did not name are still news.
            unknown = [each for each in event.alerts if each.fingerprint not in known.fingerprints]
            group = AlertGroup.of(event, unknown)
            if not unknown:
                return "duplicate"
        if known is not None and known.mark == group.mark:
            # Several Alertmanagers, and each group_interval, repeat what people know.
            if now - known.at < repeat_seconds:
                return "duplicate"
            group.again = True
        self.waiting[key] = group
        return "new"

    def record_sending(self, message_id: str, groups: Sequence[AlertGroup], now: float) -> None:
        """Record that a message with these groups is about to be sent."""
        parts = {
            each.group_key: MessagePart(
                mark=each.mark, status=each.status, received_at=each.received_at
            )
            for each in groups
        }
        self.in_flight = InFlightMessage(id=message_id, parts=parts)
        self.sent.append(now)

    def record_reply(self, reply: RobotReply, now: float) -> list[AlertGroup]:
        """Record the outcome of the message in flight.

        Args:
            reply: the robot's.
            now: seconds since 1970.

        Returns:
            Groups that are given up, because the robot refuses their content.
        """
        message, self.in_flight = self.in_flight, None
        if message is None:
            return []
        # The robot counted it between sending and reply. With the later of the two the window never
        # ends before the robot's own.
        self.sent[-1:] = [now] if reply.outcome is not DeliveryOutcome.NOT_SENT else []
        if reply.outcome is DeliveryOutcome.DELIVERED:
            self._note_delivered(message, now)
            self.failures, self.quiet_until, self.trouble, self.stopped = 0, 0.0, "", False
            return []
        first, longest = _PAUSES[reply.outcome]
        self.quiet_until = now + min(first * 2 ** min(self.failures, 16), longest)
        self.failures += 1
        self.trouble = reply.reason
        self.stopped = reply.outcome is DeliveryOutcome.MISCONFIGURED
        return self._keep_waiting(message, reply.outcome)

    def forget(self, now: float, window_seconds: float) -> None:
        """Drop what is no longer needed, and bound times in the future: a clock was set back."""
        self.sent = [min(moment, now) for moment in self.sent if moment > now - window_seconds]
        self.quiet_until = min(self.quiet_until, now + BLOCKED_SECONDS)
        young = [
            (key, known)
            for key, known in self.notified.items()
            if now - known.at < REMEMBERED_SECONDS
        ]
        self.notified = dict(sorted(young, key=lambda row: row[1].at)[-REMEMBERED_GROUPS:])

    def _note_delivered(self, message: InFlightMessage, now: float) -> None:
        for key, part in message.parts.items():
            group = self.waiting.get(key)
            alerts = group.alerts if group is not None else []
            names = [each.fingerprint for each in alerts]
            self.notified[key] = NotifiedGroup(
                mark=part.mark,
                status=part.status,
                at=now,
                received_at=part.received_at,
                fingerprints=names if len(names) <= REMEMBERED_ALERTS else [],
            )
            # A group that changed while the message was in flight still has news.
            if group is not None and group.mark == part.mark:
                del self.waiting[key]

    def _keep_waiting(self, message: InFlightMessage, outcome: DeliveryOutcome) -> list[AlertGroup]:
        given_up = []
        for key, part in message.parts.items():
            group = self.waiting.get(key)
            if group is None or group.mark != part.mark:
                continue  # it changed meanwhile: the next message reports something else
            group.possibly_sent = group.possibly_sent or outcome is DeliveryOutcome.UNKNOWN
            group.refusals += outcome is DeliveryOutcome.REFUSED
            if group.refusals >= MOST_REFUSALS:
                given_up.append(self.waiting.pop(key))
        return given_up
