"""What the monitoring reports about the desk."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from streamdesk.contracts.base import Event
from streamdesk.contracts.fields import Timestamp

AlertStatus = Literal["firing", "resolved"]

MOST_ALERTS = 1_000
"""Alerts of one notification that are published; the others are only counted."""


class AlertState(BaseModel):
    """One alert of a group, shortened to what a person on call reads."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    fingerprint: str = Field(max_length=64, description="Identifies the alert's labels.")
    status: AlertStatus = Field(description="Whether it still fires.")
    name: str = Field(max_length=120, description="Name of the rule.")
    severity: str = Field(max_length=20, description="critical, warning, or another name.")
    where: str = Field(
        "", max_length=200, description="The labels that distinguish it from others of its rule."
    )
    summary: str = Field("", max_length=300, description="What is wrong, in one sentence.")
    detail: str = Field("", max_length=600, description="More, with the value.")
    started_at: Timestamp = Field(description="Since when it fires.")
    ended_at: Timestamp | None = Field(None, description="When it stopped; none while it fires.")
    runbook_url: str = Field("", max_length=500, description="What to do about it.")


class AlertsNotified(Event):
    """Alertmanager notified the desk of a group of alerts, and the relay took over delivery."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "group_key": '{}:{alertname="RedisPELTooHigh"}',
                    "status": "firing",
                    "received_at": "2026-11-20T15:31:00Z",
                    "alerts": [
                        {
                            "fingerprint": "9f3b2c1d00aa17e4",
                            "status": "firing",
                            "name": "RedisPELTooHigh",
                            "severity": "warning",
                            "where": "order-executors, trading:signals",
                            "summary": "Entries are handed out and not acknowledged",
                            "detail": "132 entries are pending.",
                            "started_at": "2026-11-20T15:26:00Z",
                        }
                    ],
                }
            ]
        }
    )

    group_key: str = Field(
        min_length=1, max_length=2_000, description="Identifies the group of alerts."
    )
    status: AlertStatus = Field(description="firing while one of the group fires.")
    received_at: Timestamp = Field(description="When the desk received it.")
    alerts: Annotated[
        tuple[AlertState, ...],
        Field(max_length=MOST_ALERTS, description="The group's alerts, new and known ones."),
    ]
    left_out: int = Field(0, ge=0, description="Alerts of the group that are not named here.")
    alertmanager_url: str = Field("", max_length=500, description="Where the group can be seen.")
