"""The broker on paper."""

from streamdesk.order_executor.adapters.paper_broker.broker import PaperBroker
from streamdesk.order_executor.adapters.paper_broker.faults import Faults
from streamdesk.order_executor.adapters.paper_broker.tables import METADATA, ORDERS, PAPER, TRADES

__all__ = ["METADATA", "ORDERS", "PAPER", "TRADES", "Faults", "PaperBroker"]
