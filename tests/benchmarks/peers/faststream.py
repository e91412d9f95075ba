"""FastStream on Redis Streams: pipelined publishing, batch subscriber, orjson, uvloop, no log."""

import asyncio

import uvloop
from faststream.redis import RedisBroker, StreamSub

from tests.benchmarks.peers.common import CALL, QUEUE, Plan, Tick


async def main(plan: Plan) -> None:
    """Publish with its pipelines, consume in a group with its batches."""
    ended = asyncio.Event()
    plan.on_end = ended.set
    broker = RedisBroker(plan.url, logger=None)

    async def handle(events: list[Tick]) -> None:
        plan.handle(len(events), sum([event.number for event in events]))

    sub = StreamSub(QUEUE, group=QUEUE, consumer="one", batch=True, max_records=CALL)
    broker.subscriber(stream=sub)(handle)
    client = await broker.connect()
    await client.xgroup_create(QUEUE, QUEUE, id="0", mkstream=True)  # to read what is there
    events = plan.ticks()
    for _ in range(plan.rounds):
        with plan.publishing():
            for start in range(0, plan.count, CALL):
                async with client.pipeline(transaction=False) as pipe:
                    for event in events[start : start + CALL]:
                        await broker.publish(event, stream=QUEUE, pipeline=pipe)
                    await pipe.execute()
    plan.start_clock()
    await broker.start()
    await ended.wait()
    while left := (await client.xpending(QUEUE, QUEUE))["pending"]:
        await asyncio.sleep(0.01)  # the last batch is acknowledged after its handler
    await broker.stop()
    plan.report("faststream", left)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(Plan.read()))
