"""arq: concurrent enqueueing, many concurrent jobs, no results kept.

It does not validate arguments: a job gets the event's fields as they were pickled.
"""

import asyncio
from typing import Any

import uvloop
from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker, func

from tests.benchmarks.peers.common import QUEUE, Plan

AT_ONCE = 50
"""Concurrent enqueueings and jobs; there is no way to enqueue several in one call."""


async def main(plan: Plan) -> None:
    """Enqueue concurrently; run a worker until the queue is empty."""

    async def handle(_context: dict[str, Any], event: dict[str, Any]) -> None:
        plan.handle(1, event["number"])

    pool = await create_pool(RedisSettings.from_dsn(plan.url), default_queue_name=QUEUE)
    events = [event.model_dump() for event in plan.ticks()]
    for _ in range(plan.rounds):
        with plan.publishing():
            for start in range(0, plan.count, AT_ONCE):
                part = events[start : start + AT_ONCE]
                await asyncio.gather(*[pool.enqueue_job("handle", event) for event in part])
    worker = Worker(
        [func(handle, name="handle")],
        queue_name=QUEUE,
        redis_pool=pool,
        burst=True,
        max_jobs=AT_ONCE,
        poll_delay=0,
        keep_result=0,
        log_results=False,
        handle_signals=False,
    )
    await worker.async_run()
    left = await pool.zcard(QUEUE)
    await worker.close()
    plan.report("arq", left)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(Plan.read()))
