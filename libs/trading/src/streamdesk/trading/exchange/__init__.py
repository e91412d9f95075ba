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
from streamdesk.trading.exchange.rules import ExchangeRules, FeesAt, SessionCheck, no_fees

__all__ = [
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
    "bracket",
    "no_fees",
]
