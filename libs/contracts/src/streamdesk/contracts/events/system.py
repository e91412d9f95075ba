"""What the desk reports about itself."""

from enum import StrEnum

from pydantic import ConfigDict, Field

from streamdesk.contracts.base import Event
from streamdesk.contracts.fields import Symbol, Timestamp


class Severity(StrEnum):
    """How soon a person should look."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class RiskAlerted(Event):
    """A risk limit is near, reached or crossed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "code": "POSITION_LIMIT_REACHED",
                    "severity": "warning",
                    "message": "5 of 5 US positions are open",
                    "symbol": None,
                    "value": 5,
                    "limit": 5,
                    "timestamp": "2026-11-20T15:31:00Z",
                }
            ]
        }
    )

    code: str = Field(pattern="^[A-Z][A-Z_]+$", description="Stable code of the alert.")
    severity: Severity
    message: str = Field(description="What was found, for a reader.")
    symbol: Symbol | None = Field(default=None, description="Instrument, if it is about one.")
    value: float = Field(description="What was measured, in the unit of the limit.")
    limit: float = Field(description="What it was measured against, in the same unit.")
    timestamp: Timestamp


class StrategyUpdated(Event):
    """The rules that make signals were set or changed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "strategy": "composite-v1",
                    "parameters": {"score_min": 30, "strong_buy_min": 80},
                    "message": "started",
                    "timestamp": "2026-11-20T15:30:00Z",
                }
            ]
        }
    )

    strategy: str = Field(description="Name and version of the rules.")
    parameters: dict[str, float] = Field(description="Thresholds and weights in force.")
    message: str = Field(description="What changed, for a reader.")
    timestamp: Timestamp


class SystemEvent(Event):
    """A service started, stopped, lost or regained something it needs."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "service": "order-executor",
                    "kind": "started",
                    "severity": "info",
                    "message": "order-executor is ready",
                    "details": {"instance": "order-executor-1"},
                    "timestamp": "2026-11-20T15:30:00Z",
                }
            ]
        }
    )

    service: str = Field(description="Name of the service it happened to.")
    kind: str = Field(pattern="^[a-z][a-z-]+$", description="What happened, as in started.")
    severity: Severity
    message: str = Field(description="What happened, for a reader.")
    details: dict[str, str] = Field(default_factory=dict, description="More, as text by name.")
    timestamp: Timestamp
