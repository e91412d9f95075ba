"""Runs in an executor's pod: recomputes the ledger and compares it with the broker's records."""

import asyncio
import sys

from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.factory import OrderExecutor


async def main() -> None:
    """One line for each figure that does not fit."""
    async with OrderExecutor(Settings()) as executor:
        for discrepancy in await executor.verify():
            sys.stdout.write(f"{discrepancy}\n")


if __name__ == "__main__":
    asyncio.run(main())
