"""A recorder as a process of its own, to be killed: server, folder and instance are arguments."""

import asyncio
import signal
import sys
from pathlib import Path

from streamdesk.analysis.adapters.bar_recorder import BarRecorder
from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.topics import MARKET_BARS
from streamdesk.market.store import BarStore
from streamdesk.runtime import Drain


async def main(url: str, folder: str, instance: str) -> None:
    config = BusConfig(
        url=url,
        service="analysis",
        instance=instance,
    )
    drain = Drain()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, drain.request)
    async with Bus.connect(config) as bus:
        store = BarStore(Path(folder))
        await BarRecorder(
            bus,
            MARKET_BARS,
            store,
            keep_days=400,
            write_every_seconds=0.02,
            tidy_every_seconds=0.1,
        ).run(drain)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
