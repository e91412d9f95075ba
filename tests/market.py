"""A market for the paper broker of a test's executor."""

from datetime import datetime, timedelta

from streamdesk.bus import Outcome
from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.order_executor.factory import OrderExecutor


def second_after(symbol: str, at: datetime, price: float) -> BarClosed:
    """The bar of the second after a moment, of one price, with more volume than is needed."""
    return BarClosed(
        symbol=symbol,
        timestamp=at + timedelta(seconds=1),
        interval_seconds=1,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=1_000_000,
    )


class QuickMarket(OrderExecutor):
    """An executor in whose market somebody trades at the signal's price a second later.

    Only its broker sees that bar: marks, stops and the present of the market are the test's own.
    """

    async def on_signal(self, signal_id: str, signal: SignalGenerated) -> Outcome:
        outcome = await super().on_signal(signal_id, signal)
        await self.feed.on_bar(second_after(signal.symbol, signal.timestamp, signal.price))
        return outcome


async def trade(executor: OrderExecutor) -> None:
    """Let the market trade once at the price of every order that works."""
    for order in await executor.ledger.unfinished():
        price = float(order.intent.reference_price)
        await executor.feed.on_bar(second_after(order.intent.symbol, order.intent.as_of, price))
