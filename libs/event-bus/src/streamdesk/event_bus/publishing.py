"""Publishing plain data: each kind of event has a method that knows its fields."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from streamdesk.bus import Bus
from streamdesk.contracts.base import Event, Topic
from streamdesk.contracts.events import (
    BarClosed,
    RiskAlerted,
    Severity,
    SignalGenerated,
    StrategyUpdated,
    SystemEvent,
)
from streamdesk.event_bus.event_types import EventType
from streamdesk.event_bus.plain_data import Data, make_event, signal_defaults


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class EventPublisher:
    """Makes events of plain data and publishes them.

    Args:
        bus: the bus; the caller closes it.
        source: name of the publishing service.
        topics: topics under other keys or limits than the default, by type.
        clock: the time of events published without one.
    """

    def __init__(
        self,
        bus: Bus,
        source: str,
        *,
        topics: Mapping[EventType, Topic[Any]] | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._bus = bus
        self._source = source
        self._topics = {kind: kind.topic for kind in EventType} | dict(topics or {})
        self._clock = clock

    async def publish_market_data(
        self,
        symbol: str,
        data: Data | None = None,
        *,
        event_id: str | None = None,
        **fields: object,
    ) -> str:
        """A closed price bar (`BarClosed`); returns its entry id once the server has it.

        Args:
            symbol: instrument with its market, as in AAPL.US.
            data: the bar's fields by name.
            event_id: the event's id, where the caller can derive one.
            fields: the same as `data`, as keywords; they win.

        Raises:
            InvalidEventError: names the field that is missing, unknown or wrong.
            BusError: as `Bus.publish`.
        """
        event = make_event(BarClosed, data, fields, {"symbol": symbol})
        return await self._publish(EventType.MARKET_DATA, event, event_id)

    async def publish_trading_signal(
        self,
        symbol: str,
        signal_type: str,
        score: float,
        data: Data | None = None,
        *,
        event_id: str | None = None,
        **fields: object,
    ) -> str:
        """A scored signal (`SignalGenerated`).

        Side, strength and priority follow from type and score, unless given; both times are now,
        the strategy is the source.

        Args:
            symbol: instrument with its market, as in AAPL.US.
            signal_type: STRONG_BUY, BUY, WEAK_BUY or SELL.
            score: 0 to 100.
            data: more of the signal's fields by name; `price` must be among them.
            event_id: the event's id, where the caller can derive one.
            fields: the same as `data`, as keywords; they win.

        Raises:
            InvalidEventError: names the field that is missing, unknown or wrong.
            QueueFullError: as many signals wait as are allowed.
            BusError: as `Bus.publish`.
        """
        defaults = signal_defaults(signal_type, score, self._source, self._clock())
        given = {"symbol": symbol, "type": signal_type, "score": score}
        event = make_event(SignalGenerated, defaults, data, fields, given)
        return await self._publish(EventType.TRADING_SIGNAL, event, event_id)

    async def publish_risk_alert(
        self,
        code: str,
        message: str,
        data: Data | None = None,
        *,
        event_id: str | None = None,
        **fields: object,
    ) -> str:
        """A risk limit that is near, reached or crossed (`RiskAlerted`): a warning, now.

        Args:
            code: stable code, as in POSITION_LIMIT_REACHED.
            message: what was found, for a reader.
            data: more of the alert's fields by name; `value` and `limit` must be among them.
            event_id: the event's id, where the caller can derive one.
            fields: the same as `data`, as keywords; they win.

        Raises:
            InvalidEventError: names the field that is missing, unknown or wrong.
            BusError: as `Bus.publish`.
        """
        defaults = {"severity": Severity.WARNING, "timestamp": self._clock()}
        given = {"code": code, "message": message}
        event = make_event(RiskAlerted, defaults, data, fields, given)
        return await self._publish(EventType.RISK_ALERT, event, event_id)

    async def publish_strategy_update(
        self,
        strategy: str,
        parameters: Mapping[str, float],
        message: str,
        *,
        timestamp: datetime | None = None,
        event_id: str | None = None,
    ) -> str:
        """Rules that were set or changed (`StrategyUpdated`).

        Args:
            strategy: name and version of the rules.
            parameters: thresholds and weights in force.
            message: what changed, for a reader.
            timestamp: when; now unless given.
            event_id: the event's id, where the caller can derive one.

        Raises:
            InvalidEventError: names the field that is wrong.
            BusError: as `Bus.publish`.
        """
        given = {"strategy": strategy, "parameters": dict(parameters), "message": message}
        when = {"timestamp": timestamp or self._clock()}
        event = make_event(StrategyUpdated, given, when)
        return await self._publish(EventType.STRATEGY_UPDATE, event, event_id)

    async def publish_system_event(
        self,
        kind: str,
        message: str,
        details: Mapping[str, str] | None = None,
        *,
        severity: str = Severity.INFO,
        timestamp: datetime | None = None,
        event_id: str | None = None,
    ) -> str:
        """Something that happened to the source (`SystemEvent`).

        Args:
            kind: what happened, as in started.
            message: the same for a reader.
            details: more, as text by name.
            severity: info, warning or critical.
            timestamp: when; now unless given.
            event_id: the event's id, where the caller can derive one.

        Raises:
            InvalidEventError: names the field that is wrong.
            BusError: as `Bus.publish`.
        """
        given = {
            "service": self._source,
            "kind": kind,
            "severity": severity,
            "message": message,
            "details": dict(details or {}),
            "timestamp": timestamp or self._clock(),
        }
        event = make_event(SystemEvent, given)
        return await self._publish(EventType.SYSTEM_EVENT, event, event_id)

    async def _publish(self, kind: EventType, event: Event, event_id: str | None) -> str:
        return await self._bus.publish(self._topics[kind], event, event_id=event_id)
