"""dramatiq on Redis: its default middleware, a larger prefetch, one worker thread.

More threads make it slower where, as here, a handler never waits.
It does not validate arguments: an actor gets the event's fields as they were in the JSON.
"""

import os
import threading
from typing import Any

os.environ["dramatiq_queue_prefetch"] = "500"  # noqa: SIM112 - its own spelling; read on import

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.worker import Worker

from tests.benchmarks.peers.common import QUEUE, Plan


def main(plan: Plan) -> None:
    """Send one message after the other; handle them in a worker of this process."""
    ended, lock = threading.Event(), threading.Lock()
    plan.on_end = ended.set
    broker = RedisBroker(url=plan.url)
    dramatiq.set_broker(broker)

    def handle(event: dict[str, Any]) -> None:
        with lock:
            plan.handle(1, event["number"])

    actor = dramatiq.actor(handle, queue_name=QUEUE)
    events = [event.model_dump() for event in plan.ticks()]
    for _ in range(plan.rounds):
        with plan.publishing():
            for event in events:
                actor.send(event)
    worker = Worker(broker, worker_threads=1, worker_timeout=100)
    worker.start()
    ended.wait()
    worker.join()
    worker.stop()
    left = broker.do_qsize(QUEUE)
    plan.report("dramatiq", left)


if __name__ == "__main__":
    main(Plan.read())
