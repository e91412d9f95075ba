"""The relay's memory: what waits, what people know, what is on its way, when the robot may be used.

One value in Redis, written by the one active sender before and after each message; so whoever goes
on after a restart or a crash knows what the last one knew.
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
"""Ids of events taken in: one that the bus brings again is known."""

REMEMBERED_GROUPS = 2_000
REMEMBERED_SECONDS = 7 * 86_400.0
REMEMBERED_ALERTS = 50
"""Fingerprints kept of a group that was told; of a larger one none are."""

BLOCKED_SECONDS = 600.0
"""How long a robot is cut off that was asked too often."""

RETRY_SECONDS = 600.0
"""Between attempts with settings that the robot does not take: they may be mended at its end."""

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
    """What people know of a group.

    Attributes:
        mark: the group's.
        status: the group's.
        at: when they were told, seconds since 1970.
        received_at: when the news came in.
        fingerprints: the alerts that it named; empty where those were many.
    """

    mark: str
    status: AlertStatus
    at: float
    received_at: float
    fingerprints: list[str] = Field(default_factory=list)


class MessagePart(BaseModel):
    """A group in a message: what it said when the message left."""

    mark: str
    status: AlertStatus
    received_at: float


class InFlightMessage(BaseModel):
    """A message that was written down, and then perhaps sent, and perhaps taken.

    Attributes:
        id: unique.
        parts: the groups in it, by key.
    """

    id: str
    parts: dict[str, MessagePart]


class AlertJournal(BaseModel):
    """All that the relay knows.

    Attributes:
        waiting: the newest of each group that people do not know, by its key.
        notified: what people know, by group.
        sent: when messages left in the last minute, or were answered; seconds since 1970.
        in_flight: the message whose outcome is not written yet.
        quiet_until: nothing is sent before; seconds since 1970.
        failures: messages in a row that did not arrive.
        trouble: why the last one did not; empty when it did.
        stopped: the robot does not take our settings.
        admitted: ids of the events taken in last.
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
        """When the oldest news came in that people do not know; infinity when they know all."""
        return min((group.since for group in self.waiting.values()), default=math.inf)

    def admit(
        self, event: AlertsNotified, event_id: str, *, now: float, repeat_seconds: float
    ) -> Admission:
        """Take a notification in.

        Args:
            event: the notification.
            event_id: the same whenever the bus brings it.
            now: seconds since 1970.
            repeat_seconds: what people know already they are told again only after so long.
        """
        if event_id in self.admitted:
            return "repeated"
        self.admitted = [*self.admitted, event_id][-REMEMBERED_EVENTS:]
        key, group = event.group_key, AlertGroup.of(event)
        waiting, told = self.waiting.get(key), self.notified.get(key)
        if waiting is not None:
            merged = waiting.merged(group)
            if merged.mark == waiting.mark:
                return "duplicate"
            self.waiting[key] = merged
            return "merged"
        if told is not None and told.received_at > group.received_at:
            # It was overtaken by later news of its group. What those did not name is still news.
            unknown = [each for each in event.alerts if each.fingerprint not in told.fingerprints]
            group = AlertGroup.of(event, unknown)
            if not unknown:
                return "duplicate"
        if told is not None and told.mark == group.mark:
            if now - told.at < repeat_seconds:
                return "duplicate"
            group.again = True
        self.waiting[key] = group
        return "new"

    def take_off(self, message_id: str, groups: Sequence[AlertGroup], now: float) -> None:
        """Write down that a message with these groups is about to be sent."""
        parts = {
            each.group_key: MessagePart(
                mark=each.mark, status=each.status, received_at=each.received_at
            )
            for each in groups
        }
        self.in_flight = InFlightMessage(id=message_id, parts=parts)
        self.sent.append(now)

    def land(self, answer: RobotReply, now: float) -> list[AlertGroup]:
        """Write down what became of the message on its way.

        Args:
            answer: what the robot said, if anything.
            now: seconds since 1970.

        Returns:
            Groups that are given up: the robot refuses what they say.
        """
        flight, self.in_flight = self.in_flight, None
        if flight is None:
            return []
        # The robot counted it between the two moments: the later one keeps its minute for sure.
        self.sent[-1:] = [now] if answer.outcome is not DeliveryOutcome.NOT_SENT else []
        if answer.outcome is DeliveryOutcome.DELIVERED:
            self._know(flight, now)
            self.failures, self.quiet_until, self.trouble, self.stopped = 0, 0.0, "", False
            return []
        first, longest = _PAUSES[answer.outcome]
        self.quiet_until = now + min(first * 2 ** min(self.failures, 16), longest)
        self.failures += 1
        self.trouble = answer.reason
        self.stopped = answer.outcome is DeliveryOutcome.MISCONFIGURED
        return self._keep(flight, answer.outcome)

    def forget(self, now: float, window_seconds: float) -> None:
        """Drop what nobody needs any more, and moments that a clock set back has made absurd."""
        self.sent = [min(moment, now) for moment in self.sent if moment > now - window_seconds]
        self.quiet_until = min(self.quiet_until, now + BLOCKED_SECONDS)
        young = [
            (key, told) for key, told in self.notified.items() if now - told.at < REMEMBERED_SECONDS
        ]
        self.notified = dict(sorted(young, key=lambda row: row[1].at)[-REMEMBERED_GROUPS:])

    def _know(self, flight: InFlightMessage, now: float) -> None:
        for key, part in flight.parts.items():
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
            if group is not None and group.mark == part.mark:
                del self.waiting[key]

    def _keep(self, flight: InFlightMessage, outcome: DeliveryOutcome) -> list[AlertGroup]:
        given_up = []
        for key, part in flight.parts.items():
            group = self.waiting.get(key)
            if group is None or group.mark != part.mark:
                continue  # it says something else by now
            group.possibly_sent = group.possibly_sent or outcome is DeliveryOutcome.UNKNOWN
            group.refusals += outcome is DeliveryOutcome.REFUSED
            if group.refusals >= MOST_REFUSALS:
                given_up.append(self.waiting.pop(key))
        return given_up
