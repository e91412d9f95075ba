"""Runs in a pod that may read raw news: the links on the stream, one a line, as often as published.

Argument: what they have in them.
"""

import asyncio
import contextlib
import os
import sys

from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.topics import NEWS_RAW


async def main(part: str) -> None:
    """Print them."""
    config = BusConfig(url=os.environ["REDIS_URL"], service="e2e")
    async with (
        Bus.connect(config) as bus,
        contextlib.aclosing(bus.replay(NEWS_RAW, since="0")) as past,
    ):
        async for message in past:
            if part in message.event.link:
                sys.stdout.write(f"{message.event.link}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
