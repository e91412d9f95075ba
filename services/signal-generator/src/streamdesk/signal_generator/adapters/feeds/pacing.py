"""A steady pace that ends at once when the process is asked to stop."""

import asyncio

from streamdesk.runtime import Drain


class Pacer:
    """Lets steps through at a rate. After a delay it resumes at that rate and does not catch up.

    Args:
        per_second: steps per second; 0 for no waiting at all.
    """

    def __init__(self, per_second: float) -> None:
        self._step = 1 / per_second if per_second else 0.0
        self._next = 0.0

    async def wait(self, drain: Drain) -> bool:
        """Wait for the next step; return whether the drain is requested."""
        now = asyncio.get_running_loop().time()
        self._next = max(self._next, now)
        pause = self._next - now
        self._next += self._step
        if pause > 0:
            return await drain.sleep(pause)
        await asyncio.sleep(0)
        return drain.requested.is_set()
