import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from streamdesk.console.__main__ import run
from tests.alert_relays import RelayProcess
from tests.dingtalk_server import SECRET, DingTalkServer, errcode
from tests.servers import StreamServer


@pytest.fixture
async def robot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[DingTalkServer]:
    """A robot that our settings name; nothing else is set, and no desk runs here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with DingTalkServer().running() as server:
        monkeypatch.setenv("DINGTALK_URL", server.url)
        monkeypatch.setenv("DINGTALK_SECRET", SECRET)
        monkeypatch.setenv("DINGTALK_ANY_HOST", "true")
        yield server


@pytest.fixture
def server(start_server: Callable[[], StreamServer]) -> Iterator[StreamServer]:
    started = start_server()
    yield started
    started.stop()


async def test_a_test_alert_goes_straight_to_the_robot(
    robot: DingTalkServer, capsys: pytest.CaptureFixture[str]
) -> None:
    code = await asyncio.to_thread(run, ["alert", "test", "--direct", "--resolved"])
    assert code == 0
    assert "arrived after" in capsys.readouterr().out
    assert robot.titles == ["🔵 INFO StreamdeskTest", "✅ RESOLVED StreamdeskTest"]


async def test_what_the_robot_says_is_shown(
    robot: DingTalkServer, capsys: pytest.CaptureFixture[str]
) -> None:
    robot.behaviours.append(errcode(310000, "sign not match"))
    assert await asyncio.to_thread(run, ["alert", "test", "--direct"]) == 1
    assert "errcode 310000: sign not match; look at DINGTALK_SECRET" in capsys.readouterr().out


async def test_over_the_relay_that_runs_it_takes_the_queue(
    robot: DingTalkServer,
    server: StreamServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    relay = RelayProcess(tmp_path, server.url, robot.url)
    try:
        await relay.ready()
        arguments = ["alert", "test", "--severity", "critical", "--resolved", "--json"]
        assert await asyncio.to_thread(run, [*arguments, "--url", server.url]) == 0
    finally:
        relay.kill()
    report = json.loads(capsys.readouterr().out)
    assert (report["succeeded"], report["why"]) == (True, "arrived")
    assert robot.titles == ["🔴 CRITICAL StreamdeskTest", "✅ RESOLVED StreamdeskTest"]


async def test_without_a_relay_it_says_so(
    robot: DingTalkServer, server: StreamServer, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["alert", "test", "--url", server.url, "--wait", "1"]
    assert await asyncio.to_thread(run, arguments) == 1
    assert "no alert relay runs on this Redis" in capsys.readouterr().out
    assert robot.requests == 0


async def test_a_robot_elsewhere_is_refused_unless_it_is_allowed(
    robot: DingTalkServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DINGTALK_ANY_HOST", "false")
    assert await asyncio.to_thread(run, ["alert", "test", "--direct"]) == 2
    error = capsys.readouterr().err
    assert "DINGTALK_URL" in error
    assert "example-token" not in error
    assert robot.requests == 0
