"""The relay as a process, on a real Redis, before a robot that checks what DingTalk checks."""

import asyncio
import random
from collections.abc import Callable

import pytest

from tests.alert_relays import RelayProcess, payload, until
from tests.dingtalk_server import DingTalkServer, silence
from tests.servers import StreamServer

StartRelay = Callable[..., RelayProcess]
MINUTE_SECONDS = 6.0  # of the robot and the relay, so that the tests need not wait a whole one


@pytest.fixture
def minute(robot: DingTalkServer) -> dict[str, str]:
    robot.minute_seconds = MINUTE_SECONDS
    return {"DINGTALK_MINUTE_SECONDS": str(MINUTE_SECONDS)}


def names(count: int) -> list[str]:
    return [f"Alert{number:03}x" for number in range(count)]


async def test_an_alert_arrives_once_and_its_resolution_too(
    server: StreamServer, robot: DingTalkServer, start_relay: StartRelay
) -> None:
    relay = start_relay(server.url, robot.url)
    await relay.ready()
    fires, ends = payload("Lagging"), payload("Lagging", "resolved")
    assert await relay.post(fires, fires) == [200, 200]
    await until(lambda: len(robot.taken) == 1, "the alert")
    assert await relay.post(fires, ends, ends) == [200, 200, 200]
    await until(lambda: len(robot.taken) == 2, "the resolution")
    assert await relay.stop() == 0
    assert robot.titles == ["🟡 WARNING Lagging", "✅ RESOLVED Lagging"]
    assert (robot.requests, robot.refused) == (2, [])


async def test_what_was_reported_is_not_reported_again_after_a_restart(
    server: StreamServer, robot: DingTalkServer, start_relay: StartRelay
) -> None:
    first = start_relay(server.url, robot.url)
    await first.ready()
    await first.post(payload("Lagging"))
    await until(lambda: len(robot.taken) == 1, "the alert")
    assert await first.stop() == 0
    second = start_relay(server.url, robot.url)
    await second.ready()
    await second.post(payload("Lagging"), payload("Other"))
    await until(lambda: len(robot.taken) == 2, "the other alert")
    assert robot.titles == ["🟡 WARNING Lagging", "🟡 WARNING Other"]


async def test_500_alerts_at_once_all_arrive_in_digests_within_the_quota(
    server: StreamServer, robot: DingTalkServer, start_relay: StartRelay, minute: dict[str, str]
) -> None:
    relay = start_relay(server.url, robot.url, **minute)
    await relay.ready()
    statuses = await relay.post_at_once(*[payload(name) for name in names(500)])
    assert set(statuses) == {200}
    await until(lambda: all(name in robot.texts for name in names(500)), "all alerts")
    assert "in one message" in robot.texts
    assert robot.most_in_a_minute <= 18
    assert robot.refused == []


async def test_a_relay_killed_between_messages_loses_none_and_repeats_none(
    server: StreamServer, robot: DingTalkServer, start_relay: StartRelay
) -> None:
    # One message in twenty seconds is for what is not critical: the others wait when it is killed.
    slow = {"DINGTALK_MINUTE_SECONDS": "20", "DINGTALK_MESSAGES_PER_MINUTE": "4"}
    first = start_relay(server.url, robot.url, **slow)
    await first.ready()
    await first.post(payload("First"))
    await until(lambda: len(robot.taken) == 1, "the first message")
    await first.post(*[payload(name) for name in names(40)])
    while await first.metric('alert_relay_notifications_total{outcome="new"}') != 41:
        await asyncio.sleep(0.02)
    first.kill()
    second = start_relay(server.url, robot.url, **slow)
    await second.ready()
    await until(lambda: all(name in robot.texts for name in names(40)), "all alerts")
    await second.post(payload("Last"))
    await until(lambda: "Last" in robot.texts, "one more alert")
    assert "Perhaps a repeat" not in robot.texts
    for name in ["First", *names(40), "Last"]:
        assert sum(name in message.text for message in robot.taken) == 1


async def test_a_relay_killed_at_any_moment_loses_none_and_marks_what_it_repeats(
    server: StreamServer, robot: DingTalkServer, start_relay: StartRelay
) -> None:
    fast = {"DINGTALK_MINUTE_SECONDS": "2", "BUS_LEASE_SECONDS": "2"}
    relay = start_relay(server.url, robot.url, **fast)
    dice = random.Random(7)
    for number in range(3):
        await relay.ready()
        mine = [name + str(number) for name in names(10)]
        assert set(await relay.post(*[payload(name) for name in mine])) == {200}
        await asyncio.sleep(dice.uniform(0, 0.5))
        relay.kill()
        relay = start_relay(server.url, robot.url, **fast)
    every = [name + str(number) for number in range(3) for name in names(10)]
    await until(lambda: all(name in robot.texts for name in every), "all alerts")
    for name in every:
        reported = [message.text for message in robot.taken if name in message.text]
        assert all("Perhaps a repeat" in text for text in reported[1:])


async def test_a_message_cut_off_by_a_kill_comes_again_and_says_so(
    server: StreamServer, robot: DingTalkServer, start_relay: StartRelay
) -> None:
    robot.behaviours.append(silence(takes=True))
    first = start_relay(server.url, robot.url)
    await first.ready()
    await first.post(payload("Lagging"))
    await until(lambda: len(robot.taken) == 1, "the alert")
    first.kill()
    second = start_relay(server.url, robot.url)
    await second.ready()
    await until(lambda: len(robot.taken) == 2, "the alert once more")
    assert "Perhaps a repeat" in robot.taken[1].text


async def test_of_two_replicas_one_sends_and_the_other_takes_over(
    server: StreamServer, robot: DingTalkServer, start_relay: StartRelay
) -> None:
    relays = [start_relay(server.url, robot.url) for _ in range(2)]
    for relay in relays:
        await relay.ready()
    await asyncio.gather(*(relay.post(payload("Lagging")) for relay in relays))
    await until(lambda: len(robot.taken) == 1, "the alert")
    active = [await relay.metric("alert_relay_sender_active") for relay in relays]
    assert sorted(active) == [0, 1]
    dead = relays.pop(active.index(1))
    dead.kill()
    await relays[0].post(payload("Lagging"), payload("Other"))
    await until(lambda: len(robot.taken) == 2, "the other alert")
    assert robot.titles == ["🟡 WARNING Lagging", "🟡 WARNING Other"]


async def test_without_redis_alertmanager_is_asked_to_send_again(
    server: StreamServer, robot: DingTalkServer, start_relay: StartRelay
) -> None:
    relay = start_relay(server.url, robot.url)
    await relay.ready()
    server.stop()
    assert await relay.post(payload("Lagging")) == [503]
    server.start()
    while await relay.post(payload("Lagging")) != [200]:
        await asyncio.sleep(0.1)
    await until(lambda: len(robot.taken) == 1, "the alert")


async def test_a_client_without_the_token_is_refused(
    server: StreamServer, robot: DingTalkServer, start_relay: StartRelay
) -> None:
    relay = start_relay(server.url, robot.url)
    await relay.ready()
    assert await relay.post(payload("Lagging"), token="another") == [401]  # noqa: S106 - wrong
    assert await relay.metric('alert_relay_webhooks_total{outcome="unauthorized"}') == 1
    assert "access_token" not in relay.log.read_text()
