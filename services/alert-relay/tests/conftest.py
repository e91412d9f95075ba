from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from streamdesk.bus import Bus, BusConfig
from tests.alert_relays import RelayProcess
from tests.dingtalk_server import DingTalkServer
from tests.servers import StreamServer

StartRelay = Callable[..., RelayProcess]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stands between a test and its servers."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
async def robot() -> AsyncIterator[DingTalkServer]:
    """A robot of the test's own."""
    async with DingTalkServer().running() as server:
        yield server


@pytest.fixture
def server(start_server: Callable[[], StreamServer]) -> Iterator[StreamServer]:
    """A Redis of the test's own: the relay's keys have fixed names."""
    started = start_server()
    yield started
    started.stop()


@pytest.fixture
async def bus(server: StreamServer) -> AsyncIterator[Bus]:
    """A bus on it."""
    async with Bus.connect(BusConfig(url=server.url)) as opened:
        yield opened


@pytest.fixture
def start_relay(tmp_path: Path) -> Iterator[StartRelay]:
    """Starts relays; ends them with the test."""
    started: list[RelayProcess] = []

    def start(redis_url: str, robot_url: str, **environment: str) -> RelayProcess:
        relay = RelayProcess(tmp_path, redis_url, robot_url, **environment)
        started.append(relay)
        return relay

    yield start
    for relay in started:
        if relay.process.poll() is None:
            relay.kill()
