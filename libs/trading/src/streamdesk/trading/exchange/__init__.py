from streamdesk.trading.exchange.book import (
    ExchangeEvent,
    ExchangeState,
    Execution,
    OpenOrder,
    OrderUpdate,
)
from streamdesk.trading.exchange.exchange import Exchange
from streamdesk.trading.exchange.orders import ExchangeOrder, OrderType, bracket
from streamdesk.trading.exchange.rules import ExchangeRules, SessionCheck

__all__ = [
    "Exchange",
    "ExchangeEvent",
    "ExchangeOrder",
    "ExchangeRules",
    "ExchangeState",
    "Execution",
    "OpenOrder",
    "OrderType",
    "OrderUpdate",
    "SessionCheck",
    "bracket",
]
