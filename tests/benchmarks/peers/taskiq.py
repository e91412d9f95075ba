"""taskiq-redis on Redis Streams: orjson, uvloop, concurrent kicks, acknowledged after execution."""

import asyncio
import logging

import uvloop
from redis.asyncio import Redis
from taskiq.acks import AcknowledgeType
from taskiq.api import run_receiver_task
from taskiq.serializers import ORJSONSerializer
from taskiq_redis import RedisStreamBroker

from tests.benchmarks.peers.common import CALL, QUEUE, Plan, Tick

AT_ONCE = 50
"""Concurrent kicks and tasks; there is no way to kick several in one call."""


async def main(plan: Plan) -> None:
    """Kick tasks concurrently; execute them in a receiver."""
    ended = asyncio.Event()
    plan.on_end = ended.set
    broker = RedisStreamBroker(
        plan.url,
        queue_name=QUEUE,
        consumer_group_name=QUEUE,
        consumer_id="0",
        xread_count=CALL,
        max_connection_pool_size=2 * AT_ONCE,
    ).with_serializer(ORJSONSerializer())

    async def handle(event: Tick) -> None:
        plan.handle(1, event.number)

    task = broker.register_task(handle, task_name="handle")
    await broker.startup()
    events = plan.ticks()
    for _ in range(plan.rounds):
        with plan.publishing():
            for start in range(0, plan.count, AT_ONCE):
                await asyncio.gather(
                    *[task.kiq(event) for event in events[start : start + AT_ONCE]]
                )
    receiver = asyncio.create_task(
        run_receiver_task(
            broker,
            max_async_tasks=AT_ONCE,
            max_prefetch=CALL,
            ack_time=AcknowledgeType.WHEN_EXECUTED,
        )
    )
    await ended.wait()
    async with Redis.from_url(plan.url) as client:
        while left := (await client.xpending(QUEUE, QUEUE))["pending"]:
            await asyncio.sleep(0.01)
    logging.disable()  # it warns of being cancelled
    receiver.cancel()
    await asyncio.gather(receiver, return_exceptions=True)
    plan.report("taskiq-redis", left)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(Plan.read()))
