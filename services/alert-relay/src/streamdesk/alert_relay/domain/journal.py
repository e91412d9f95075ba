"""The relay's memory: what waits, what people know, what is on its way, when the robot may be used.

One value in Redis, written by the one active sender before and after each message; so whoever goes
on after a restart or a crash knows what the last one knew.
"""

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, Field

from streamdesk.alert_relay.domain.alert_group import Notice
from streamdesk.alert_relay.domain.robot_reply import Answer, Outcome
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
    Outcome.TOO_FAST: (60.0, BLOCKED_SECONDS),
    Outcome.BLOCKED: (BLOCKED_SECONDS, BLOCKED_SECONDS),
    Outcome.MISCONFIGURED: (RETRY_SECONDS, RETRY_SECONDS),
    Outcome.REFUSED: (5.0, 60.0),
    Outcome.NOT_SENT: (2.0, 60.0),
    Outcome.UNKNOWN: (10.0, 300.0),
}


class Told(BaseModel):
    """What people know of a group.

    Attributes:
        mark: the notice's.
        status: the notice's.
        at: when they were told, seconds since 1970.
        received_at: when the news came in.
        fingerprints: the alerts that it named; empty where those were many.
    """

    mark: str
    status: AlertStatus
    at: float
    received_at: float
    fingerprints: list[str] = Field(default_factory=list)


class Part(BaseModel):
    """A group in a message: what it said when the message left."""

    mark: str
    status: AlertStatus
    received_at: float


class Flight(BaseModel):
    """A message that was written down, and then perhaps sent, and perhaps taken.

    Attributes:
        id: unique.
        parts: the groups in it, by key.
    """

    id: str
    parts: dict[str, Part]


class Book(BaseModel):
    """All that the relay knows.

    Attributes:
        waiting: notices by group.
        told: what people know, by group.
        sent: when messages left in the last minute, or were answered; seconds since 1970.
        flight: the message whose outcome is not written yet.
        quiet_until: nothing is sent before; seconds since 1970.
        failures: messages in a row that did not arrive.
        trouble: why the last one did not; empty when it did.
        stopped: the robot does not take our settings.
        admitted: ids of the events taken in last.
    """

    waiting: dict[str, Notice] = Field(default_factory=dict)
    told: dict[str, Told] = Field(default_factory=dict)
    sent: list[float] = Field(default_factory=list)
    flight: Flight | None = None
    quiet_until: float = 0.0
    failures: int = 0
    trouble: str = ""
    stopped: bool = False
    admitted: list[str] = Field(default_factory=list)

    @property
    def alerts_waiting(self) -> int:
        """Alerts in the notices that wait."""
        return sum(len(notice.alerts) for notice in self.waiting.values())

    @property
    def oldest(self) -> float:
        """When the oldest news came in that people do not know; infinity when they know all."""
        return min((notice.since for notice in self.waiting.values()), default=math.inf)

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
        key, notice = event.group_key, Notice.of(event)
        waiting, told = self.waiting.get(key), self.told.get(key)
        if waiting is not None:
            merged = waiting.merged(notice)
            if merged.mark == waiting.mark:
                return "duplicate"
            self.waiting[key] = merged
            return "merged"
        if told is not None and told.received_at > notice.received_at:
            # It was overtaken by later news of its group. What those did not name is still news.
            unknown = [each for each in event.alerts if each.fingerprint not in told.fingerprints]
            notice = Notice.of(event, unknown)
            if not unknown:
                return "duplicate"
        if told is not None and told.mark == notice.mark:
            if now - told.at < repeat_seconds:
                return "duplicate"
            notice.again = True
        self.waiting[key] = notice
        return "new"

    def take_off(self, flight_id: str, notices: Sequence[Notice], now: float) -> None:
        """Write down that a message with these notices is about to be sent."""
        parts = {
            each.group_key: Part(mark=each.mark, status=each.status, received_at=each.received_at)
            for each in notices
        }
        self.flight = Flight(id=flight_id, parts=parts)
        self.sent.append(now)

    def land(self, answer: Answer, now: float) -> list[Notice]:
        """Write down what became of the message on its way.

        Args:
            answer: what the robot said, if anything.
            now: seconds since 1970.

        Returns:
            Notices that are given up: the robot refuses what they say.
        """
        flight, self.flight = self.flight, None
        if flight is None:
            return []
        # The robot counted it between the two moments: the later one keeps its minute for sure.
        self.sent[-1:] = [now] if answer.outcome is not Outcome.NOT_SENT else []
        if answer.outcome is Outcome.TOLD:
            self._know(flight, now)
            self.failures, self.quiet_until, self.trouble, self.stopped = 0, 0.0, "", False
            return []
        first, longest = _PAUSES[answer.outcome]
        self.quiet_until = now + min(first * 2 ** min(self.failures, 16), longest)
        self.failures += 1
        self.trouble = answer.reason
        self.stopped = answer.outcome is Outcome.MISCONFIGURED
        return self._keep(flight, answer.outcome)

    def forget(self, now: float, window_seconds: float) -> None:
        """Drop what nobody needs any more, and moments that a clock set back has made absurd."""
        self.sent = [min(moment, now) for moment in self.sent if moment > now - window_seconds]
        self.quiet_until = min(self.quiet_until, now + BLOCKED_SECONDS)
        young = [
            (key, told) for key, told in self.told.items() if now - told.at < REMEMBERED_SECONDS
        ]
        self.told = dict(sorted(young, key=lambda row: row[1].at)[-REMEMBERED_GROUPS:])

    def _know(self, flight: Flight, now: float) -> None:
        for key, part in flight.parts.items():
            notice = self.waiting.get(key)
            alerts = notice.alerts if notice is not None else []
            names = [each.fingerprint for each in alerts]
            self.told[key] = Told(
                mark=part.mark,
                status=part.status,
                at=now,
                received_at=part.received_at,
                fingerprints=names if len(names) <= REMEMBERED_ALERTS else [],
            )
            if notice is not None and notice.mark == part.mark:
                del self.waiting[key]

    def _keep(self, flight: Flight, outcome: Outcome) -> list[Notice]:
        given_up = []
        for key, part in flight.parts.items():
            notice = self.waiting.get(key)
            if notice is None or notice.mark != part.mark:
                continue  # it says something else by now
            notice.perhaps_told = notice.perhaps_told or outcome is Outcome.UNKNOWN
            notice.refusals += outcome is Outcome.REFUSED
            if notice.refusals >= MOST_REFUSALS:
                given_up.append(self.waiting.pop(key))
        return given_up
