"""The desk survives killed processes; when the desk itself is killed, no process remains."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

Start = Callable[..., Any]

EVERY_PROCESS = {
    "redis",
    "signal-generator",
    "order-executor",
    "news-fetcher",
    "news-filter",
    "analysis",
    "websocket-gateway",
}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_no_process_is_left_when_up_is_ended_by_a_signal(up: Start, number: signal.Signals) -> None:
    desk = up()
    desk.wait_until_up()
    assert set(desk.pids()) >= EVERY_PROCESS
    os.kill(desk.process.pid, number)
    desk.process.wait(60)
    deadline = time.monotonic() + 60
    while desk.left_over() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert desk.left_over() == set()


def test_killed_services_restart_and_the_desk_continues_to_trade(up: Start) -> None:
    desk = up("--executors", "2")
    desk.wait_until_up()
    before = desk.pids()
    for name in ("order-executor-1", "signal-generator", "websocket-gateway", "redis"):
        os.kill(before[name], signal.SIGKILL)

    def all_back() -> bool:
        services = {service["name"]: service for service in desk.state()["services"]}
        return all(
            service["state"] == "running" and service["ready"] in (True, None)
            for service in services.values()
        ) and all(services[name]["restarts"] == 1 for name in ("order-executor-1", "redis"))

    desk.wait_for(all_back, "every service is ready again")
    after = desk.pids()
    assert {name for name in before if before[name] != after[name]} == {
        "order-executor-1",
        "signal-generator",
        "websocket-gateway",
        "redis",
    }
    desk.interrupt()
    assert desk.left_over() == set()
