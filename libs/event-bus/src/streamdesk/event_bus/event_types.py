"""The five kinds of events, and the topic each travels on."""

from enum import StrEnum
from typing import Any

from streamdesk.contracts import topics
from streamdesk.contracts.base import Topic


class EventType(StrEnum):
    """What an event is about."""

    MARKET_DATA = "market_data"
    TRADING_SIGNAL = "trading_signal"
    RISK_ALERT = "risk_alert"
    STRATEGY_UPDATE = "strategy_update"
    SYSTEM_EVENT = "system_event"

    @property
    def topic(self) -> Topic[Any]:
        """The topic under its default key."""
        return _TOPICS[self]


_TOPICS: dict[EventType, Topic[Any]] = {
    EventType.MARKET_DATA: topics.MARKET_DATA,
    EventType.TRADING_SIGNAL: topics.TRADING_SIGNAL,
    EventType.RISK_ALERT: topics.RISK_ALERT,
    EventType.STRATEGY_UPDATE: topics.STRATEGY_UPDATE,
    EventType.SYSTEM_EVENT: topics.SYSTEM_EVENT,
}
