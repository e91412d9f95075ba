"""A simulated exchange that bars fill: orders, brackets, partial fills, splits."""

from streamdesk.trading.exchange.book import (
    ExchangeEvent,
    ExchangeState,
    Execution,
    OpenOrder,
    OrderUpdate,
)
from streamdesk.trading.exchange.exchange import Exchange
from streamdesk.trading.exchange.orders import ExchangeOrder, OrderType, bracket
from streamdesk.trading.exchange.rules import (
    INSTANT,
    ExchangeRules,
    FeesAt,
    SessionCheck,
    always_open,
    no_fees,
)

__all__ = [
    "INSTANT",
    "Exchange",
    "ExchangeEvent",
    "ExchangeOrder",
    "ExchangeRules",
    "ExchangeState",
    "Execution",
    "FeesAt",
    "OpenOrder",
    "OrderType",
    "OrderUpdate",
    "SessionCheck",
    "always_open",
    "bracket",
    "no_fees",
]
