"""The account's books: every decision, order, trade and what they add up to."""

from streamdesk.order_executor.adapters.ledger.ledger import Ledger

__all__ = ["Ledger"]
