"""The sender on a real Redis, before a robot that misbehaves; hours pass when the test says so."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from streamdesk.alert_relay.adapters.journal_store import JOURNAL, UNREADABLE, read_journal
from streamdesk.alert_relay.config import Settings
from streamdesk.alert_relay.domain.journal import AlertJournal
from streamdesk.alert_relay.factory import robot_of, sender_of
from streamdesk.bus import Bus, BusUnavailableError
from streamdesk.contracts.events import AlertsNotified, Severity, SystemEvent
from streamdesk.contracts.topics import ALERTS, SYSTEM_EVENTS
from streamdesk.runtime import Drain
from tests.alert_relays import alert, notified, until
from tests.dingtalk_server import (
    SECRET,
    Behaviour,
    DingTalkServer,
    cut,
    errcode,
    moved,
    silence,
    status,
)
from tests.servers import StreamServer


class Bench:
    """A sender whose clock can be put forward."""

    def __init__(self, bus: Bus, robot: DingTalkServer, timeout_seconds: float = 20.0) -> None:
        self.bus = bus
        self.offset_seconds = 0.0
        self.journal = AlertJournal()
        self._robot = robot_of(
            Settings(
                dingtalk_url=SecretStr(robot.url),
                dingtalk_secret=SecretStr(SECRET),
                dingtalk_any_host=True,
                dingtalk_timeout_seconds=timeout_seconds,
            )
        )
        settings = Settings(dingtalk_url=SecretStr(robot.url), dingtalk_any_host=True)
        self._sender = sender_of(settings, bus, self._robot, self.clock)

    def clock(self) -> float:
        return time.time() + self.offset_seconds

    async def publish(self, event: AlertsNotified) -> None:
        await self.bus.publish(ALERTS, event)

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        drain = Drain()
        task = asyncio.create_task(self._sender.run(drain))
        try:
            yield
        finally:
            drain.request()
            await asyncio.wait_for(task, 120)
            await self._robot.close()

    async def system_events(self) -> list[SystemEvent]:
        """The first ones that were published."""
        async for message in self.bus.tail(SYSTEM_EVENTS, since="0"):
            return [message.event]
        return []

    async def look_until(self, holds: str) -> AlertJournal:
        """Read the journal until an attribute of it is true."""
        while True:
            journal, _ = await read_journal(self.bus.keys)
            if getattr(journal, holds):
                return journal
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("behaviour", "pause_seconds"),
    [
        (errcode(130101, "send too fast"), 60),
        (errcode(-1, "busy"), 2),
        (moved("http://127.0.0.1:1/"), 600),
        (status(503), 2),
        (status(429), 60),
    ],
)
async def test_what_did_not_arrive_is_sent_again_after_a_pause_and_arrives_once(
    behaviour: Behaviour, pause_seconds: float, bus: Bus, robot: DingTalkServer
) -> None:
    robot.behaviours.append(behaviour)
    bench = Bench(bus, robot)
    async with bench.sending():
        await bench.publish(notified(alert()))
        journal = await bench.look_until("failures")
        left = journal.quiet_until - bench.clock()
        assert pause_seconds - 60 < left <= pause_seconds
        bench.offset_seconds = pause_seconds
        await until(lambda: len(robot.taken) == 1, "the alert")
    assert robot.requests == 2
    assert "Perhaps a repeat" not in robot.texts


@pytest.mark.parametrize("behaviour", [silence(takes=True), cut(takes=True), status(504)])
async def test_what_perhaps_arrived_is_sent_again_and_says_so(
    behaviour: Behaviour, bus: Bus, robot: DingTalkServer
) -> None:
    robot.behaviours.append(behaviour)
    bench = Bench(bus, robot, timeout_seconds=3)
    async with bench.sending():
        await bench.publish(notified(alert()))
        await bench.look_until("failures")
        bench.offset_seconds = 10
        await until(lambda: "Perhaps a repeat" in robot.texts, "the repeat")


async def test_what_perhaps_arrived_and_is_over_by_now_is_not_repeated(
    bus: Bus, robot: DingTalkServer
) -> None:
    robot.behaviours.append(cut(takes=True))
    bench = Bench(bus, robot)
    async with bench.sending():
        await bench.publish(notified(alert(), key="g"))
        await bench.look_until("failures")
        await bench.publish(notified(alert(status="resolved"), key="g"))
        await until(lambda: len(robot.taken) == 2, "the resolution")
    assert robot.titles == ["🟡 WARNING RedisPELTooHigh", "✅ RESOLVED RedisPELTooHigh"]


async def test_wrong_settings_stop_it_and_are_reported_and_once_corrected_at_the_robot_it_resumes(
    bus: Bus, robot: DingTalkServer
) -> None:
    robot.keyword = "a-keyword"
    bench = Bench(bus, robot)
    async with bench.sending():
        await bench.publish(notified(alert()))
        journal = await bench.look_until("stopped")
        assert "errcode 310000: keywords not in content" in journal.trouble
        (event,) = await bench.system_events()
        assert (event.kind, event.severity) == ("alerts-not-told", Severity.CRITICAL)
        assert "keywords not in content" in event.message
        await bench.publish(notified(alert("Other")))
        while len((await read_journal(bus.keys))[0].waiting) != 2:
            await asyncio.sleep(0.02)
        assert robot.requests == 1
        robot.keyword = ""
        bench.offset_seconds = 600
        await until(lambda: len(robot.taken) == 2, "both alerts")


async def test_a_new_process_tries_wrong_settings_at_once(bus: Bus, robot: DingTalkServer) -> None:
    robot.behaviours.append(errcode(300001, "token is not exist"))
    first = Bench(bus, robot)
    async with first.sending():
        await first.publish(notified(alert()))
        await first.look_until("stopped")
    second = Bench(bus, robot)
    async with second.sending():
        await until(lambda: len(robot.taken) == 1, "the alert")


async def test_what_the_robot_refuses_takes_nothing_else_along(
    bus: Bus, robot: DingTalkServer
) -> None:
    robot.behaviours = [errcode(43004, "bad content")] * 3
    bench = Bench(bus, robot)
    async with bench.sending():
        await bench.publish(notified(alert("Bad")))
        for attempt in range(3):
            await until(lambda attempt=attempt: robot.requests > attempt, "an attempt")  # type: ignore[misc]
            bench.offset_seconds += 60
        await bench.publish(notified(alert("Good")))
        await until(lambda: len(robot.taken) == 1, "the other alert")
    assert robot.titles == ["🟡 WARNING Good"]


async def test_an_outcome_that_redis_could_not_record_is_remembered(
    bus: Bus, robot: DingTalkServer, server: StreamServer
) -> None:
    async def behave(which: DingTalkServer, writer: object, request: dict[str, object]) -> None:
        server.stop()
        await which.answer(writer, request)  # type: ignore[arg-type]

    robot.behaviours.append(behave)
    bench = Bench(bus, robot)
    async with bench.sending():
        await bench.publish(notified(alert()))
        await until(lambda: len(robot.taken) == 1, "the alert")
        server.start()
        while True:
            try:
                await bench.publish(notified(alert("Other")))
                break
            except BusUnavailableError:
                await asyncio.sleep(0.1)
        await until(lambda: len(robot.taken) == 2, "the other alert")
    assert robot.titles == ["🟡 WARNING RedisPELTooHigh", "🟡 WARNING Other"]


async def test_an_unreadable_journal_is_set_aside(bus: Bus, robot: DingTalkServer) -> None:
    await bus.keys.put({JOURNAL: b"no journal"})
    bench = Bench(bus, robot)
    async with bench.sending():
        await bench.publish(notified(alert()))
        await until(lambda: len(robot.taken) == 1, "the alert")
    assert await bus.keys.get(UNREADABLE) == [b"no journal"]


async def test_what_is_in_flight_when_it_stops_is_finished(bus: Bus, robot: DingTalkServer) -> None:
    bench = Bench(bus, robot)
    async with bench.sending():
        await bench.publish(notified(alert()))
        await until(lambda: robot.requests == 1, "the request")
    journal, is_sending = await read_journal(bus.keys)
    assert (journal.waiting, journal.in_flight, is_sending) == ({}, None, False)
