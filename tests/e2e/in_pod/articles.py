"""Runs in a pod: three articles into the raw news, two that matter and one that does not."""

import asyncio
import hashlib
import os
import sys
from datetime import UTC, datetime

from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.events import NewsFetched
from streamdesk.contracts.topics import NEWS_RAW

TITLES = {
    "good": "Apple beats estimates and raises its dividend after record profit",
    "dull": "Apple to hold its annual meeting on Thursday",
    "fine": "Apple beats estimates and raises its outlook after record profit",
}


async def main(prefix: str) -> None:
    """Publish all; their links end in `good`, `dull` and `fine`."""
    config = BusConfig(url=os.environ["REDIS_URL"], service="e2e")
    async with Bus.connect(config) as bus:
        for kind, title in TITLES.items():
            link = f"https://news.example/{prefix}-{kind}"
            now = datetime.now(UTC)
            article = NewsFetched(
                link_hash=hashlib.sha256(link.encode()).hexdigest()[:32],
                title=title,
                link=link,
                source="e2e",
                published_at=now,
                fetched_at=now,
                symbols=("AAPL.US",),
            )
            await bus.publish(NEWS_RAW, article)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
