"""A group of alerts that is to be reported to people."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from streamdesk.contracts.events import AlertsNotified, AlertState, AlertStatus

AlertSeverity = Literal["critical", "warning", "info"]

SEVERITIES: tuple[AlertSeverity, ...] = ("critical", "warning", "info")
"""The most severe first."""

_CRITICAL = {"critical", "page", "emergency", "disaster"}
_INFO = {"info", "information", "notice", "none"}


def severity_of(word: str) -> AlertSeverity:
    """The severity that a rule's label names; an unknown word is a warning."""
    word = word.lower()
    if word in _CRITICAL:
        return "critical"
    return "info" if word in _INFO else "warning"


def worst(alerts: Iterable[AlertState]) -> AlertSeverity:
    """The worst severity among alerts; info when there are none."""
    ranks = [SEVERITIES.index(severity_of(alert.severity)) for alert in alerts]
    return SEVERITIES[min(ranks, default=len(SEVERITIES) - 1)]


class AlertGroup(BaseModel):
    """The newest state of a group, waiting to be reported.

    Attributes:
        group_key: identifies the group.
        status: firing while one of its alerts fires.
        since: when its oldest notification was received, seconds since 1970.
        received_at: when its newest notification was received, likewise.
        alerts: each alert once, in its newest state.
        left_out: how many more alerts there are.
        alertmanager_url: where Alertmanager shows the group.
        again: people know it; this is a reminder.
        possibly_sent: it was sent, and no reply came.
        refusals: how often the robot refused its content.
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
        """The group of a notification, or of only these of its alerts."""
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
        """The alerts that no longer fire."""
        return [alert for alert in self.alerts if alert.status == "resolved"]

    @property
    def severity(self) -> AlertSeverity:
        """That of its worst alert; resolved alerts do not count while others fire."""
        return worst(self.firing or self.alerts)

    @property
    def urgent(self) -> bool:
        """Whether it is reported before all others: something critical fires."""
        return self.status == "firing" and self.severity == "critical"

    @property
    def mark(self) -> str:
        """Equal for groups that report the same: the status, and which alerts fire since when."""
        alerts = self.firing if self.status == "firing" else self.alerts
        words = sorted(f"{each.fingerprint}@{each.started_at.timestamp()}" for each in alerts)
        return hashlib.sha256("\n".join([self.status, *words]).encode()).hexdigest()[:16]

    def merged(self, other: Self) -> Self:
        """Both as one: of each alert the newer state counts, and no alert is lost."""
        older, newer = sorted((self, other), key=lambda group: group.received_at)
        alerts = {each.fingerprint: each for each in [*older.alerts, *newer.alerts]}
        return newer.model_copy(
            update={
                "alerts": list(alerts.values()),
                "since": min(older.since, newer.since),
                "left_out": max(older.left_out, newer.left_out),
            }
        )
