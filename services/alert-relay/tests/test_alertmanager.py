"""Behind a real Alertmanager: what it notifies arrives, and what we cannot take it sends again."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.alert_relays import RELAY_TOKEN, RelayProcess, until
from tests.alertmanager import Alertmanager, find_alertmanager
from tests.dingtalk_server import DingTalkServer
from tests.servers import StreamServer

StartRelay = Callable[..., RelayProcess]
StartManager = Callable[[str], Alertmanager]
DUPLICATES = 'alert_relay_notifications_total{outcome="duplicate"}'

pytestmark = pytest.mark.skipif(
    find_alertmanager() is None, reason="no Alertmanager: Debian's package prometheus-alertmanager"
)


@pytest.fixture
def start_manager(tmp_path: Path) -> Iterator[StartManager]:
    started: list[Alertmanager] = []

    def start(webhook: str) -> Alertmanager:
        started.append(Alertmanager(tmp_path / f"manager-{len(started)}", webhook, RELAY_TOKEN))
        return started[-1]

    yield start
    for manager in started:
        manager.stop()


async def test_an_alert_arrives_once_and_its_resolution_too(
    server: StreamServer,
    robot: DingTalkServer,
    start_relay: StartRelay,
    start_manager: StartManager,
) -> None:
    relay = start_relay(server.url, robot.url)
    await relay.ready()
    manager = start_manager(relay.webhook)
    await manager.ready()
    await manager.set_alerts("Lagging", severity="critical")
    await until(lambda: len(robot.taken) == 1, "the alert")
    await manager.set_alerts("Lagging", ended=True, severity="critical")
    await until(lambda: len(robot.taken) == 2, "the resolution")
    assert robot.titles == ["🔴 CRITICAL Lagging", "✅ RESOLVED Lagging"]
    assert "group order-executors" in robot.taken[0].text


async def test_the_same_from_two_alertmanagers_is_reported_once(
    server: StreamServer,
    robot: DingTalkServer,
    start_relay: StartRelay,
    start_manager: StartManager,
) -> None:
    relay = start_relay(server.url, robot.url)
    await relay.ready()
    managers = [start_manager(relay.webhook) for _ in range(2)]
    for manager in managers:
        await manager.ready()
    # Both have the alert from one Prometheus, which says since when it fires.
    managers[1].began = managers[0].began
    for manager in managers:
        await manager.set_alerts("Lagging")
    while await relay.metric(DUPLICATES) != 1:
        await asyncio.sleep(0.05)
    assert robot.titles == ["🟡 WARNING Lagging"]


async def test_what_the_relay_could_not_take_alertmanager_sends_again(
    server: StreamServer,
    robot: DingTalkServer,
    start_relay: StartRelay,
    start_manager: StartManager,
) -> None:
    relay = start_relay(server.url, robot.url)
    await relay.ready()
    manager = start_manager(relay.webhook)
    await manager.ready()
    server.stop()
    await manager.set_alerts("Lagging")
    await until(lambda: "notification not queued" in relay.log.read_text(), "a refusal")
    server.start()
    await until(lambda: len(robot.taken) == 1, "the alert")
    assert robot.titles == ["🟡 WARNING Lagging"]
