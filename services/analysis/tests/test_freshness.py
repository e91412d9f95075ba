"""What becomes of analyses as they grow old, on a real server."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streamdesk.analysis.application.analyses.get_analyses import (
    EARLIEST_RENEWAL,
    SOFT_END,
    renewal_share,
)
from streamdesk.market import UNIVERSE
from tests.analysis_replicas import Replica
from tests.servers import StreamServer

TTL_SECONDS = 300
SYMBOLS = [instrument.symbol for instrument in UNIVERSE]
EARLY = min(SYMBOLS, key=renewal_share)
Aged = Callable[[str, float], None]


@pytest.fixture
def server(start_server: Callable[[], StreamServer]) -> StreamServer:
    return start_server()


@pytest.fixture
def replica(server: StreamServer) -> Iterator[Replica]:
    with ExitStack() as stack:
        replica = Replica(REDIS_URL=server.url, HAMA_CACHE_LOOK_SECONDS="0")
        stack.callback(replica.stop)
        yield replica


def kept(server: StreamServer, symbol: str) -> dict[str, Any]:
    analysis: dict[str, Any] = json.loads(server.ask("GET", f"hama:analysis:{symbol}"))
    return analysis


@pytest.fixture
def aged(server: StreamServer, replica: Replica) -> Aged:
    """`aged("BTCUSDT", 250)`: its analysis looks as if it were computed so many seconds ago."""

    def age(symbol: str, seconds: float) -> None:
        assert replica.post("analyze-symbol", symbol=symbol).status_code == 200
        computed_at = datetime.now(UTC) - timedelta(seconds=seconds)
        analysis = kept(server, symbol) | {"computed_at": computed_at.isoformat()}
        server.ask("SET", f"hama:analysis:{symbol}", json.dumps(analysis), "KEEPTTL")

    return age


async def until_renewed(server: StreamServer, symbol: str, before: str) -> None:
    async with asyncio.timeout(60):
        while kept(server, symbol)["computed_at"] == before:
            await asyncio.sleep(0.02)


async def test_an_old_analysis_is_answered_at_once_as_stale_and_renewed_behind_it(
    server: StreamServer, replica: Replica, aged: Aged
) -> None:
    aged("BTCUSDT", 250)
    before = kept(server, "BTCUSDT")["computed_at"]
    answer = replica.post("analyze-symbol", symbol="BTCUSDT")
    data = answer.json()["data"]
    assert (data["cached"], data["stale"]) == (True, True)
    assert int(answer.headers["age"]) >= 250
    await until_renewed(server, "BTCUSDT", before)
    assert not replica.post("analyze-symbol", symbol="BTCUSDT").json()["data"]["stale"]
    assert replica.stats()["computations"] == 2


async def test_one_that_is_asked_for_is_renewed_before_it_is_stale(
    server: StreamServer, replica: Replica, aged: Aged
) -> None:
    aged(EARLY, renewal_share(EARLY) * TTL_SECONDS + 1)
    before = kept(server, EARLY)["computed_at"]
    data = replica.post("analyze-symbol", symbol=EARLY).json()["data"]
    assert (data["cached"], data["stale"]) == (True, False)
    await until_renewed(server, EARLY, before)


def test_one_that_is_older_than_its_life_is_not_answered_wherever_it_was_kept(
    replica: Replica, aged: Aged
) -> None:
    aged("BTCUSDT", TTL_SECONDS + 1)
    data = replica.post("analyze-symbol", symbol="BTCUSDT").json()["data"]
    assert (data["cached"], data["stale"]) == (False, False)


def test_one_from_a_clock_that_is_ahead_is_new(replica: Replica, aged: Aged) -> None:
    aged("BTCUSDT", -3600)
    answer = replica.post("analyze-symbol", symbol="BTCUSDT")
    assert answer.json()["data"]["cached"]
    assert int(answer.headers["age"]) < 60


def test_what_was_made_together_is_not_renewed_together() -> None:
    shares = sorted(renewal_share(symbol) for symbol in SYMBOLS)
    assert all(EARLIEST_RENEWAL <= share < SOFT_END for share in shares)
    span = SOFT_END - EARLIEST_RENEWAL
    assert shares[len(shares) // 4] < EARLIEST_RENEWAL + span / 2 < shares[-len(shares) // 4]


def test_an_entry_lives_as_long_as_the_setting_says(server: StreamServer, replica: Replica) -> None:
    replica.post("analyze-symbol", symbol="BTCUSDT")
    assert 0 < server.ask("TTL", "hama:analysis:BTCUSDT") <= TTL_SECONDS
    other = {"symbol": "BTCUSDT", "preset": "quantdinger", "interval_seconds": 3600}
    replica.post("analyze-symbol", **other)
    assert server.ask("EXISTS", "hama:analysis:BTCUSDT:quantdinger:3600") == 1
    assert replica.stats()["symbols"] == ["BTCUSDT"]
