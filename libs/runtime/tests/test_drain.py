import asyncio

from streamdesk.runtime import Drain


async def test_a_sleep_that_is_not_disturbed_says_no_drain() -> None:
    assert await Drain().sleep(0) is False


async def test_a_drain_ends_a_sleep_at_once() -> None:
    drain = Drain()
    sleeper = asyncio.create_task(drain.sleep(3600))
    await asyncio.sleep(0)
    drain.request()
    drain.request()
    assert await sleeper is True
    assert await drain.sleep(3600) is True
