"""Runs the scan of a feed until it ends or the process is asked to stop."""

import asyncio
from contextlib import suppress

from streamdesk.runtime import Drain, logger
from streamdesk.signal_generator.application.scan_feed import FeedScan

log = logger(__name__)


class FeedRunner:
    """The task of this service.

    Args:
        scan: the scan of the feed.
        stop_seconds: at a stop, time to finish what is pending, and as much again to announce it.
    """

    def __init__(self, scan: FeedScan, stop_seconds: float) -> None:
        self._scan = scan
        self._stop_seconds = stop_seconds

    async def run(self, drain: Drain) -> None:
        """Scan until the feed ends or the drain is requested, then announce the stop.

        Raises:
            Exception: what the scan raised; the stop is announced only after a scan that did not.
        """
        scan = asyncio.create_task(self._scan.run(drain))
        asked = asyncio.create_task(drain.requested.wait())
        try:
            await asyncio.wait({scan, asked}, return_when=asyncio.FIRST_COMPLETED)
            # A publish waits for the server for days; a stop does not.
            if not scan.done():
                await asyncio.wait({scan}, timeout=self._stop_seconds)
            if not scan.done():
                log.warning("stopped without the bus: what was pending is not published")
                scan.cancel()
                await asyncio.wait({scan})
            if not scan.cancelled():
                scan.result()  # raises what the scan raised
        finally:
            scan.cancel()
            asked.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._stop_seconds):
                await self._scan.announce_stop()
