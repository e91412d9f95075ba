"""Alertmanager's notification (version 4 of its webhook's JSON), read and shortened."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from streamdesk.alert_relay.errors import WebhookError
from streamdesk.contracts.base import summary
from streamdesk.contracts.events import AlertsNotified, AlertState, AlertStatus
from streamdesk.contracts.events.alerts import MOST_ALERTS

# Labels that every alert has in common, or that a message shows elsewhere.
_COMMON_LABELS = frozenset(
    {"alertname", "severity", "prometheus", "prometheus_replica", "replica", "cluster"}
)
_DETAILS = ("description", "message", "value")
_SUMMARIES = ("summary", "title")


class _Alert(BaseModel):
    model_config = ConfigDict(extra="ignore")

    status: AlertStatus
    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    started_at: AwareDatetime = Field(alias="startsAt")
    ended_at: AwareDatetime | None = Field(None, alias="endsAt")
    fingerprint: str = ""


class _Notification(BaseModel):
    model_config = ConfigDict(extra="ignore")

    version: Literal["4"]
    group_key: str = Field(alias="groupKey", min_length=1)
    truncated_alerts: int = Field(0, alias="truncatedAlerts", ge=0)
    status: AlertStatus
    alerts: list[_Alert] = Field(min_length=1)
    common_labels: dict[str, str] = Field(default_factory=dict, alias="commonLabels")
    external_url: str = Field("", alias="externalURL")


def read_notification(body: bytes, received_at: datetime) -> AlertsNotified:
    """The event for the notification in a request's body.

    Args:
        body: JSON.
        received_at: when the request came.

    Raises:
        WebhookError: 400; the body is not a notification of version 4.
    """
    try:
        read = _Notification.model_validate_json(body)
    except ValidationError as error:
        raise WebhookError(
            400,
            "invalid",
            f"not a notification of Alertmanager's webhook, version 4: {summary(error)}",
        ) from None
    # Firing alerts come first: they are kept when there are too many.
    alerts = sorted(read.alerts, key=lambda alert: alert.status)
    return AlertsNotified(
        group_key=_bounded(read.group_key),
        status=read.status,
        received_at=received_at,
        alerts=tuple(_state(each, read.common_labels) for each in alerts[:MOST_ALERTS]),
        left_out=read.truncated_alerts + max(0, len(alerts) - MOST_ALERTS),
        alertmanager_url=read.external_url if len(read.external_url) <= 500 else "",  # noqa: PLR2004 - the limit of AlertState or AlertsNotified
    )


def _state(alert: _Alert, common: Mapping[str, str]) -> AlertState:
    runbook = alert.annotations.get("runbook_url", "")
    return AlertState(
        fingerprint=alert.fingerprint[:64] or _fingerprint(alert.labels),
        status=alert.status,
        name=_clip(alert.labels.get("alertname", "unnamed alert"), 120),
        severity=_clip(alert.labels.get("severity", "warning"), 20),
        where=_clip(_where(alert.labels, common), 200),
        summary=_clip(_first(alert.annotations, _SUMMARIES), 300),
        detail=_clip(_first(alert.annotations, _DETAILS), 600),
        started_at=alert.started_at,
        ended_at=alert.ended_at if alert.status == "resolved" else None,
        runbook_url=runbook if len(runbook) <= 500 else "",  # noqa: PLR2004 - the limit of AlertState or AlertsNotified
    )


def _where(labels: Mapping[str, str], common: Mapping[str, str]) -> str:
    """The labels that distinguish an alert within its group; if there are none, all of its own."""
    shown = {name: value for name, value in labels.items() if name not in _COMMON_LABELS}
    own = {name: value for name, value in shown.items() if common.get(name) != value}
    return ", ".join(f"{name} {value}" for name, value in (own or shown).items())


def _first(annotations: Mapping[str, str], names: Sequence[str]) -> str:
    return next((annotations[name] for name in names if annotations.get(name)), "")


def _clip(text: str, longest: int) -> str:
    """One line of at most this length."""
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _bounded(key: str) -> str:
    if len(key) <= 2_000:  # noqa: PLR2004 - the limit of AlertState or AlertsNotified
        return key
    return key[:1_900] + hashlib.sha256(key.encode()).hexdigest()


def _fingerprint(labels: Mapping[str, str]) -> str:
    words = "\n".join(f"{name}={value}" for name, value in sorted(labels.items()))
    return hashlib.sha256(words.encode()).hexdigest()[:16]
