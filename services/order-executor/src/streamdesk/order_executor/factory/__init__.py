"""The only place where objects are wired."""

from streamdesk.order_executor.factory.commands import (
    book_check_of,
    inspector_of,
    listing_of,
    open_executor,
    open_loss_limits,
    open_trading,
)
from streamdesk.order_executor.factory.executor import (
    OrderExecutor,
)
from streamdesk.order_executor.factory.process import (
    build,
    market_bars,
)

__all__ = [
    "OrderExecutor",
    "book_check_of",
    "build",
    "inspector_of",
    "listing_of",
    "market_bars",
    "open_executor",
    "open_loss_limits",
    "open_trading",
]
