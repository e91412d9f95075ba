"""`helm test`: a signal becomes an order and a fill, and the position is sold again.

It trades HELM.US on paper, a symbol that no feed has, and costs only the fees and the spread. An
order is filled by the next bar of its symbol, so the test brings bars along.
"""

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.events import (
    BarClosed,
    OrderFilled,
    OrderRejected,
    Side,
    SignalGenerated,
    SignalType,
)
from streamdesk.contracts.topics import MARKET_BARS, TRADING_ORDERS, TRADING_SIGNALS

SYMBOL = "HELM.US"
PRICE = 100
BAR_SECONDS = 5  # the first that begins after an order fills it; three later a signal is too old
# An account that is fully invested, or locked after losses, has filled orders before: these
# refusals pass the test too, as does that of an exchange that is closed now.
FULL = {
    *("POSITION_LIMIT_EXCEEDED", "INSUFFICIENT_FUNDS", "CONCENTRATION", "ORDER_RATE"),
    *("DAILY_LOSS", "DRAWDOWN", "STOPLOSS_GUARD", "MAX_DRAWDOWN", "LOW_PROFIT_PAIRS"),
    *("COOLDOWN_PERIOD", "SESSION_CLOSED"),
}


def signal(side: Side) -> SignalGenerated:
    """A signal of the highest class and the smallest size."""
    now = datetime.now(UTC)
    return SignalGenerated(
        symbol=SYMBOL,
        type=SignalType.STRONG_BUY if side is Side.BUY else SignalType.SELL,
        side=side,
        score=100,
        strength=0,
        price=PRICE,
        reasons=(),
        indicators={},
        strategy="helm-test",
        timestamp=now,
        priority=100,
        queued_at=now,
    )


async def make_market(bars: Bus) -> None:
    """Let the symbol trade at its price, again and again."""
    topic = MARKET_BARS.configured(key=os.environ.get("BARS_KEY") or None)
    while True:
        bar = BarClosed(
            symbol=SYMBOL,
            timestamp=datetime.now(UTC),
            interval_seconds=BAR_SECONDS,
            open=PRICE,
            high=PRICE,
            low=PRICE,
            close=PRICE,
            volume=1_000_000,
        )
        await bars.publish(topic, bar)
        await asyncio.sleep(BAR_SECONDS / 10)


async def answers(orders: Bus, signal_id: str, since: str) -> AsyncIterator[str]:
    """The executors' outcome of a signal: `filled`, or the code of a refusal."""
    topic = TRADING_ORDERS.configured(key=os.environ.get("ORDERS_KEY") or None)
    async for message in orders.tail(topic, since=since):
        event = message.event
        if getattr(event, "signal_id", "") != signal_id:
            continue
        if isinstance(event, OrderRejected):
            yield event.code
        elif isinstance(event, OrderFilled) and event.cumulative_quantity == event.order_quantity:
            yield "filled"


async def trade(signals: Bus, orders: Bus, side: Side) -> str:
    """Send one signal and wait for the answer."""
    topic = TRADING_SIGNALS.configured(key=os.environ.get("SIGNAL_QUEUE_KEY") or None)
    signal_id = str(uuid.uuid4())
    entry = await signals.publish(topic, signal(side), event_id=signal_id)
    before = int(entry.partition("-")[0]) - 1
    async for answer in answers(orders, signal_id, f"{before}-0"):
        sys.stdout.write(f"{side.value} {SYMBOL}: {answer}\n")
        return answer
    raise AssertionError("a tail without a stop does not end")


async def main() -> None:
    """Buy, then sell."""
    publisher = BusConfig(url=os.environ["SIGNALS_REDIS_URL"], service="helm-test")
    reader = BusConfig(url=os.environ["ORDERS_REDIS_URL"], service="helm-test")
    async with Bus.connect(publisher) as signals, Bus.connect(reader) as orders:
        market = asyncio.create_task(make_market(signals))
        bought = await trade(signals, orders, Side.BUY)
        if bought in FULL:
            return
        if bought not in {"filled", "POSITION_ALREADY_OPEN"}:
            sys.exit(f"the buy was refused: {bought}")
        sold = await trade(signals, orders, Side.SELL)
        market.cancel()
        if sold != "filled":
            sys.exit(f"the sell was refused: {sold}")


if __name__ == "__main__":
    asyncio.run(main())
