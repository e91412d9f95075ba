"""An order-executor as a process, whose broker fails from time to time: the service itself, else.

The rate is the share of calls to the broker that fail: it cannot be reached, or it takes an order
and its answer is lost or comes too late.
"""

import asyncio
import functools
import os
import random

from streamdesk.order_executor import factory
from streamdesk.order_executor.__main__ import main
from streamdesk.order_executor.adapters.paper_broker import Faults
from streamdesk.order_executor.errors import BrokerUnavailableError, OutcomeUnknownError

RATE = "CHAOS_BROKER_FAULTS"
LATE_SECONDS = 3.0
"""Longer than the executor waits for the broker here."""


def faults(rate: float, chance: random.Random) -> Faults:
    """Broker faults at this rate."""

    async def unreachable(_: str) -> None:
        if chance.random() < rate:
            raise BrokerUnavailableError("the broker is unreachable at times here")

    async def answer_lost(_: str) -> None:
        if chance.random() < rate:
            raise OutcomeUnknownError("the broker's answer is lost at times here")
        if chance.random() < rate:
            await asyncio.sleep(LATE_SECONDS)

    return Faults(before_accept=unreachable, after_accept=answer_lost, on_read=unreachable)


if __name__ == "__main__":
    broken = faults(float(os.environ[RATE]), random.Random(os.environ["INSTANCE"]))
    factory.OrderExecutor = functools.partial(factory.OrderExecutor, faults=broken)  # type: ignore[assignment, misc]
    main()
