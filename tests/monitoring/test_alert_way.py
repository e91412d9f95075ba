"""The full path of an alert: desk, Prometheus, Alertmanager, relay, robot, and its resolution."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alert_relays import RELAY_TOKEN, until
from tests.alertmanager import Alertmanager, find_alertmanager
from tests.dingtalk_server import SECRET, DingTalkServer
from tests.monitoring.prometheus_server import prometheus
from tests.monitoring.rules import alerts
from tests.monitoring.test_live import scraped

Start = Callable[..., Any]
ALERT = "StreamHasNoConsumer"
EVERY_SECONDS = 5  # a loaded machine answers a scrape in that time

pytestmark = pytest.mark.skipif(
    find_alertmanager() is None, reason="no Alertmanager: Debian's package prometheus-alertmanager"
)


def impatient(folder: Path) -> Path:
    """The alert unchanged, except that it waits seconds instead of minutes."""
    [rule] = [rule.body for rule in alerts() if rule.name == ALERT]
    file = folder / "rules.yaml"
    group = {"name": "redis-streams", "rules": [{**rule, "for": f"{2 * EVERY_SECONDS}s"}]}
    file.write_text(yaml.safe_dump({"groups": [group]}))
    return file


async def test_a_hanging_executor_is_reported_once_and_its_return_once(
    up: Start, tmp_path: Path, any_port: int, another_port: int
) -> None:
    async with DingTalkServer().running() as robot:
        desk = up(
            DINGTALK_URL=robot.url,
            DINGTALK_SECRET=SECRET,
            DINGTALK_ANY_HOST="true",
            ALERT_RELAY_PORT=str(another_port),
            ALERT_RELAY_TOKEN=RELAY_TOKEN,
        )
        await asyncio.to_thread(desk.wait_until_up)
        webhook = f"http://127.0.0.1:{another_port}/webhook"
        manager = Alertmanager(tmp_path / "manager", webhook, RELAY_TOKEN)
        try:
            await manager.ready()
            ports, rules = scraped(desk), [impatient(tmp_path)]
            with prometheus(
                tmp_path, any_port, ports, rules, manager.port, EVERY_SECONDS
            ) as server:
                for topic in ("signals", "news_raw"):
                    there = f'streams_active_consumers{{topic="{topic}"}} >= 1'
                    await asyncio.to_thread(server.wait_for, there)
                executor = desk.pids()["order-executor"]
                os.kill(executor, signal.SIGSTOP)
                try:
                    await until(lambda: len(robot.taken) == 1, "the alert")
                finally:
                    os.kill(executor, signal.SIGCONT)
                await until(lambda: len(robot.taken) == 2, "its end")
        finally:
            manager.stop()
        assert robot.titles == [f"🔴 CRITICAL {ALERT}", f"✅ RESOLVED {ALERT}"]
        assert "signals has no consumer" in robot.taken[0].text
        assert robot.refused == []
