"""The broker on paper."""

from streamdesk.order_executor.adapters.paper_broker.broker import PaperBroker
from streamdesk.order_executor.adapters.paper_broker.faults import FaultDice, Faults, dice_of
from streamdesk.order_executor.adapters.paper_broker.tables import (
    BOOK,
    METADATA,
    ORDERS,
    PAPER,
    TRADES,
)

__all__ = [
    "BOOK",
    "METADATA",
    "ORDERS",
    "PAPER",
    "TRADES",
    "FaultDice",
    "Faults",
    "PaperBroker",
    "dice_of",
]
