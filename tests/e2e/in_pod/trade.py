"""Runs in a pod: one bar for each symbol of a letter, of one price and with volume enough.

Arguments: the letter, how many symbols, the price.
"""

import asyncio
import os
import sys
from datetime import UTC, datetime

from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.events import BarClosed
from streamdesk.contracts.topics import MARKET_BARS


async def main(letter: str, symbols: int, price: float) -> None:
    """Publish them."""
    at = datetime.now(UTC)
    async with Bus.connect(BusConfig(url=os.environ["REDIS_URL"], service="e2e")) as bus:
        for number in range(symbols):
            bar = BarClosed(
                symbol=f"{letter}{number}.US",
                timestamp=at,
                interval_seconds=1,
                open=price,
                high=price,
                low=price,
                close=price,
                volume=1_000_000,
            )
            await bus.publish(MARKET_BARS, bar)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
