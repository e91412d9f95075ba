"""Celery on Redis: no results, acknowledged late, solo pool, prefetch for short tasks.

It does not validate arguments: a task gets the event's fields as they were in the JSON.
"""

import warnings
from functools import partial
from typing import Any

from celery import Celery
from celery.platforms import SecurityWarning
from celery.worker import state
from redis import Redis

from tests.benchmarks.peers.common import QUEUE, Plan


def main(plan: Plan) -> None:
    """Send one task after the other over one producer; handle them in a worker of this process."""
    app = Celery(QUEUE, broker=plan.url)
    app.conf.update(
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_acks_late=True,
        worker_prefetch_multiplier=128,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )

    def handle(event: dict[str, Any]) -> None:
        plan.handle(1, event["number"])

    plan.on_end = partial(setattr, state, "should_stop", 0)  # an exit status: any but False stops
    task = app.task(handle, name="handle")
    events = [event.model_dump() for event in plan.ticks()]
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(plan.rounds):
            with plan.publishing():
                for event in events:
                    task.apply_async((event,), producer=producer)
    warnings.simplefilter("ignore", SecurityWarning)  # about running as root, as in a container
    worker = app.Worker(
        pool="solo",
        loglevel="ERROR",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    worker.start()
    with Redis.from_url(plan.url) as client:
        left = client.llen(QUEUE) + client.hlen("unacked")
    plan.report("celery", left)


if __name__ == "__main__":
    main(Plan.read())
