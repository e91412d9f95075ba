"""The bus against a model of it: random histories of publishing, handling, failing and crashing.

The model knows of each unfinished message how often it failed, how often a consumer died with it,
and whether a dead consumer's lease still holds it. The bus chooses which message a consumer gets
next. It must be one that may be delivered, with exactly these numbers. In the end each message is
handled, or dead for the reason that the model knows.
"""

import asyncio
import secrets
from dataclasses import dataclass
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from streamdesk.bus import Bus, BusConfig, Message, RetryPolicy
from streamdesk.contracts.base import Consumer, Event, Topic
from tests.servers import StreamServer

GROUP = "model"
MAX_RETRIES = 2
MAX_DELIVERIES = 3
# Leases end when the model says so, never because a machine was slow.
LEASE_SECONDS = 3600
LONG_IDLE_MS = 2 * 1000 * LEASE_SECONDS
PATIENCE_SECONDS = 60  # only ends a wait that hangs
STEPS = 20


class Noted(Event):
    """A number, to be handled once at least."""

    number: int


@dataclass(slots=True)
class Unfinished:
    """A message's next attempt, how often that was handed out, and whether a lease holds it."""

    attempt: int = 1
    deliveries: int = 0
    is_leased: bool = False


class BusModel(RuleBasedStateMachine):
    """One topic, one group, one consumer after the other."""

    server: ClassVar[StreamServer]

    def __init__(self) -> None:
        super().__init__()
        key = f"model:{secrets.token_hex(4)}"
        self._topic = Topic(
            name="noted",
            key=key,
            models=(Noted,),
            about="What the model publishes.",
            dead_key=f"{key}:dead",
            consumers=(Consumer("model", GROUP),),
        )
        self._runner = asyncio.Runner()
        self._bus = self._another_bus()
        self._published = 0
        self._unfinished: dict[int, Unfinished] = {}
        self._dead: dict[int, str] = {}
        self._handled: list[int] = []
        self._wrong: list[str] = []
        self._has_crashed = False

    def _another_bus(self) -> Bus:
        return Bus.connect(
            BusConfig(
                url=self.server.url,
                instance=secrets.token_hex(3),
                retry=RetryPolicy(MAX_RETRIES, base_seconds=0.01, cap_seconds=0.02),
                lease_seconds=LEASE_SECONDS,
                max_deliveries=MAX_DELIVERIES,
            )
        )

    def teardown(self) -> None:
        """At the end: drain, and compare bus and model."""
        try:
            self.end_leases()
            self._runner.run(self._drain())
            self._runner.run(self._compare())
        finally:
            self._runner.run(self._bus.__aexit__(None, None, None))
            self._runner.close()

    def _free(self) -> set[int]:
        """The messages that may be delivered now."""
        return {number for number, one in self._unfinished.items() if not one.is_leased}

    def _has_free(self) -> bool:
        return bool(self._free())

    @rule(count=st.integers(1, 5))
    def publish(self, count: int) -> None:
        """Publish a few more messages."""
        numbers = range(self._published, self._published + count)
        self._published += count
        events = [Noted(number=number) for number in numbers]
        self._runner.run(self._bus.publish_many(self._topic, events))
        self._unfinished |= {number: Unfinished() for number in numbers}

    @precondition(_has_free)
    @rule()
    def handle_one(self) -> None:
        """A consumer starts, handles one message, and stops."""
        self._runner.run(self._consume_one(fails=False))

    @precondition(_has_free)
    @rule()
    def fail_one(self) -> None:
        """A consumer starts, fails with one message, and stops."""
        self._runner.run(self._consume_one(fails=True))

    @precondition(_has_free)
    @rule(most=st.integers(1, 4))
    def crash(self, most: int) -> None:
        """A consumer dies with up to so many messages in its handlers."""
        self._runner.run(self._crash(min(most, len(self._free()))))

    @rule()
    def end_leases(self) -> None:
        """The leases of dead consumers expire."""
        if not self._has_crashed:
            return
        key, ask = self._topic.key, self.server.ask
        for entry_id, owner, _, deliveries in ask("XPENDING", key, GROUP, "-", "+", 1000):
            ask(
                *("XCLAIM", key, GROUP, owner, 0, entry_id, "IDLE", LONG_IDLE_MS),
                *("RETRYCOUNT", deliveries, "JUSTID"),
            )
        for one in self._unfinished.values():
            one.is_leased = False

    def _meet(self, message: Message[Noted]) -> None:
        """A consumer was given this; an exception here would only make the bus retry."""
        number = message.event.number
        if number not in self._free():
            self._wrong.append(f"{number} was handed out, but it is finished or leased")
            return
        one = self._unfinished[number]
        one.deliveries += 1
        if (message.attempt, message.deliveries) != (one.attempt, one.deliveries):
            self._wrong.append(f"{number}: {message} is not {one}")

    def _succeed(self, number: int) -> None:
        self._handled.append(number)
        self._unfinished.pop(number, None)

    def _fail(self, number: int) -> None:
        one = self._unfinished.get(number, Unfinished())
        one.attempt, one.deliveries = one.attempt + 1, 0
        if one.attempt > 1 + MAX_RETRIES:
            self._bury(number, "retries-exhausted")

    def _abandon(self, number: int) -> None:
        one = self._unfinished.get(number, Unfinished())
        one.is_leased = True
        if one.deliveries >= MAX_DELIVERIES:
            self._bury(number, "deliveries")

    def _bury(self, number: int, reason: str) -> None:
        self._dead[number] = reason
        self._unfinished.pop(number, None)

    async def _consume_one(self, *, fails: bool) -> None:
        stop = asyncio.Event()

        async def handle(message: Message[Noted]) -> None:
            stop.set()
            self._meet(message)
            if fails:
                self._fail(message.event.number)
                raise RuntimeError("as the history wants it")
            self._succeed(message.event.number)

        subscription = self._bus.subscribe(self._topic, GROUP, handle, batch=1, concurrency=1)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await subscription.run(stop)
        assert not self._wrong, self._wrong

    async def _crash(self, count: int) -> None:
        self._has_crashed = True
        held: list[int] = []
        is_full = asyncio.Event()

        async def handle(message: Message[Noted]) -> None:
            self._meet(message)
            held.append(message.event.number)
            if len(held) == count:
                is_full.set()
            await asyncio.Event().wait()

        async with self._another_bus() as doomed:
            subscription = doomed.subscribe(
                self._topic, GROUP, handle, batch=count, concurrency=count
            )
            running = asyncio.create_task(subscription.run(asyncio.Event()))
            async with asyncio.timeout(PATIENCE_SECONDS):
                await is_full.wait()
            running.cancel()  # as a kill: nothing is settled or given back
            await asyncio.gather(running, return_exceptions=True)
        for number in held:
            self._abandon(number)
        assert not self._wrong, self._wrong

    async def _drain(self) -> None:
        """Handle until the server says that nothing is left."""

        async def handle(message: Message[Noted]) -> None:
            self._meet(message)
            self._succeed(message.event.number)

        stop = asyncio.Event()
        subscription = self._bus.subscribe(self._topic, GROUP, handle)
        running = asyncio.create_task(subscription.run(stop))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self._left():
                await asyncio.sleep(0.005)
        stop.set()
        await running

    async def _left(self) -> int:
        (lag,) = await self._bus.lag(self._topic)
        return lag.waiting + lag.pending + lag.delayed

    async def _compare(self) -> None:
        letters = await self._bus.dead(self._topic, self._published + 1)
        reasons = {
            Noted.decode(1, stored.letter.body.encode()).number: stored.letter.reason
            for stored in letters
        }
        assert not self._wrong, self._wrong
        assert not self._unfinished
        assert reasons == self._dead
        assert len(letters) == len(self._dead), "a message is dead twice"
        assert sorted(self._handled) == sorted(set(range(self._published)) - self._dead.keys())


def check_model(server: StreamServer, examples: int) -> None:
    """Try so many random histories.

    Raises:
        AssertionError: the bus and the model disagree; the message is the shortest history found.
    """
    BusModel.server = server
    run_state_machine_as_test(
        BusModel,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],  # a history waits for a real server
        ),
    )
