"""The request to stop: stop taking, finish or give back what is pending, return."""

import asyncio


class Drain:
    """Passed to every task; `requested` is set on SIGTERM, SIGINT, or when a task crashed."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()

    def request(self) -> None:
        """Ask every task to stop; asking again changes nothing."""
        self.requested.set()

    async def sleep(self, seconds: float) -> bool:
        """Wait, but not longer than until the drain is requested.

        Returns:
            Whether it is requested: `while not await drain.sleep(60): ...` is a timer that
            ends at once.
        """
        try:
            async with asyncio.timeout(seconds):
                await self.requested.wait()
        except TimeoutError:
            return False
        return True
