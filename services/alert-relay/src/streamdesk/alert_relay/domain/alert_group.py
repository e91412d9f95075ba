"""A group of alerts that somebody must be told of."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from streamdesk.contracts.events import AlertsNotified, AlertState, AlertStatus

AlertSeverity = Literal["critical", "warning", "info"]

SEVERITIES: tuple[AlertSeverity, ...] = ("critical", "warning", "info")
"""The worst one first."""

_CRITICAL = {"critical", "page", "emergency", "disaster"}
_INFO = {"info", "information", "notice", "none"}


def severity_of(word: str) -> AlertSeverity:
    """What a rule's own word for its severity comes to; a strange one is a warning."""
    word = word.lower()
    if word in _CRITICAL:
        return "critical"
    return "info" if word in _INFO else "warning"


def worst(alerts: Iterable[AlertState]) -> AlertSeverity:
    """The worst severity among alerts; info when there are none."""
    ranks = [SEVERITIES.index(severity_of(alert.severity)) for alert in alerts]
    return SEVERITIES[min(ranks, default=len(SEVERITIES) - 1)]


class AlertGroup(BaseModel):
    """The newest that is known of a group, waiting to be told.

    Attributes:
        group_key: identifies the group.
        status: firing while one of its alerts fires.
        since: when the oldest of what it says came in, seconds since 1970.
        received_at: when the newest came in, likewise.
        alerts: each alert once, as it was last seen.
        left_out: alerts that are not among them.
        alertmanager_url: where the group can be seen.
        again: people know it; it is a reminder.
        possibly_sent: it was sent and no answer came.
        refusals: how often the robot did not take it because of what it says.
    """

    # The stored JSON keeps the name `perhaps_told`: see AlertJournal.
    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    group_key: str
    status: AlertStatus
    since: float
    received_at: float
    alerts: list[AlertState]
    left_out: int = 0
    alertmanager_url: str = ""
    again: bool = False
    possibly_sent: bool = Field(default=False, alias="perhaps_told")
    refusals: int = 0

    @classmethod
    def of(cls, event: AlertsNotified, alerts: Sequence[AlertState] | None = None) -> Self:
        """The group of a notification; of some of its alerts if those are given."""
        moment = event.received_at.timestamp()
        return cls(
            group_key=event.group_key,
            status=event.status,
            since=moment,
            received_at=moment,
            alerts=list(event.alerts if alerts is None else alerts),
            left_out=event.left_out,
            alertmanager_url=event.alertmanager_url,
        )

    @property
    def firing(self) -> list[AlertState]:
        """The alerts that fire."""
        return [alert for alert in self.alerts if alert.status == "firing"]

    @property
    def resolved(self) -> list[AlertState]:
        """The alerts that do not fire any more."""
        return [alert for alert in self.alerts if alert.status == "resolved"]

    @property
    def severity(self) -> AlertSeverity:
        """Of its worst alert; of those that fire, while any does."""
        return worst(self.firing or self.alerts)

    @property
    def urgent(self) -> bool:
        """Whether it goes before all others: something critical fires."""
        return self.status == "firing" and self.severity == "critical"

    @property
    def mark(self) -> str:
        """The same for what says the same: the status, and which alerts fire since when."""
        alerts = self.firing if self.status == "firing" else self.alerts
        words = sorted(f"{each.fingerprint}@{each.started_at.timestamp()}" for each in alerts)
        return hashlib.sha256("\n".join([self.status, *words]).encode()).hexdigest()[:16]

    def merged(self, other: Self) -> Self:
        """Both in one: what the newer one says of an alert counts, no alert is forgotten."""
        older, newer = sorted((self, other), key=lambda group: group.received_at)
        alerts = {each.fingerprint: each for each in [*older.alerts, *newer.alerts]}
        return newer.model_copy(
            update={
                "alerts": list(alerts.values()),
                "since": min(older.since, newer.since),
                "left_out": max(older.left_out, newer.left_out),
            }
        )
