"""The service as processes on a real server: stampedes, outages, restarts."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from streamdesk.market import UNIVERSE
from tests.analysis_replicas import LONGEST_ANSWER_SECONDS, Replica
from tests.benchmarks.http_clients import Load, ask_all
from tests.servers import StreamServer

SYMBOLS = [instrument.symbol for instrument in UNIVERSE]
BATCH = "/api/gainer-analysis/analyze-batch"
Start = Callable[..., Replica]


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as stack:

        def begin(server: StreamServer | None = None, **environment: str) -> Replica:
            where = {"REDIS_URL": server.url} if server is not None else {}
            replica = Replica(**where, **environment)
            stack.callback(replica.stop)
            return replica

        yield begin


@pytest.fixture
def server(start_server: Callable[[], StreamServer]) -> StreamServer:
    return start_server()


def computed(*replicas: Replica) -> int:
    return sum(replica.stats()["computations"] for replica in replicas)


async def test_a_hundred_clients_at_two_replicas_have_each_of_78_symbols_computed_once(
    server: StreamServer, start: Start
) -> None:
    replicas = [start(server), start(server)]
    load = Load(
        ports=tuple(replica.port for replica in replicas),
        clients=100,
        path=BATCH,
        bodies=(json.dumps({"symbols": SYMBOLS}), json.dumps({"symbols": SYMBOLS[::-1]})),
    )
    answered = await ask_all(load)
    assert answered.statuses == {"200": 100}
    assert json.loads(answered.last)["data"]["succeeded"] == 78
    assert computed(*replicas) == 78
    assert len(server.ask("KEYS", "hama:analysis:*")) == 78
    assert server.ask("KEYS", "hama:claim:*") == []


async def test_clients_who_force_a_refresh_at_once_share_one_computation(
    server: StreamServer, start: Start
) -> None:
    replica = start(server)
    body = json.dumps({"symbol": "BTCUSDT", "force_refresh": True})
    load = Load((replica.port,), 30, "/api/gainer-analysis/analyze-symbol", (body,))
    answered = await ask_all(load)
    assert answered.statuses == {"200": 30}
    assert 1 <= computed(replica) < 30


async def test_a_batch_in_whose_middle_redis_is_killed_is_answered_whole(
    server: StreamServer, start: Start
) -> None:
    replica = start(server, HAMA_CACHE_TIMEOUT_SECONDS="1")
    assert replica.post("analyze-symbol", symbol="BTCUSDT").status_code == 200
    server.freeze()  # the batch has begun, and waits for the server
    async with httpx.AsyncClient(timeout=LONGEST_ANSWER_SECONDS) as client:
        url = f"http://127.0.0.1:{replica.port}{BATCH}"
        asked = asyncio.create_task(client.post(url, json={"symbols": SYMBOLS}))
        await asyncio.sleep(0.2)
        server.kill()
        data = (await asked).json()["data"]
    assert (data["succeeded"], data["failed"]) == (78, 0)
    stats = replica.stats()
    assert (stats["cache_type"], stats["memory_cache_fallback"]) == ("memory", True)
    assert stats["cached_symbols"] == 78
    again = replica.post("analyze-batch", symbols=SYMBOLS).json()["data"]
    assert again["cached"] == 78


async def test_when_redis_is_back_it_is_given_what_was_computed_meanwhile(
    server: StreamServer, start: Start
) -> None:
    replica = start(server, HAMA_CACHE_LOOK_SECONDS="0")
    server.kill()
    before = replica.post("analyze-symbol", symbol="BTCUSDT").json()["data"]
    server.start()
    async with asyncio.timeout(60):
        while replica.stats()["cache_type"] != "redis":
            await asyncio.sleep(0.05)
    after = replica.post("analyze-symbol", symbol="BTCUSDT").json()["data"]
    assert after["cached"]
    assert after["computed_at"] == before["computed_at"]
    kept = json.loads(server.ask("GET", "hama:analysis:BTCUSDT"))
    assert kept["computed_at"] == before["computed_at"]
    assert computed(replica) == 1
    assert {"redis lost: analyses are kept in memory"} <= set(replica.events())


def test_a_restart_keeps_the_cache_when_redis_does(server: StreamServer, start: Start) -> None:
    first = start(server)
    assert first.post("preload").json()["data"]["refreshed"] == 78
    assert first.stop() == 0
    server.stop()
    server.start()
    second = start(server)
    data = second.post("analyze-batch", symbols=SYMBOLS).json()["data"]
    assert (data["succeeded"], data["cached"]) == (78, 78)
    stats = second.stats()
    assert (stats["computations"], stats["hits_redis"]) == (0, 78)


def test_a_deleted_analysis_is_not_brought_back_from_memory(
    server: StreamServer, start: Start
) -> None:
    replica = start(server, HAMA_CACHE_LOOK_SECONDS="0")
    replica.post("analyze-symbol", symbol="BTCUSDT")
    server.ask("DEL", "hama:analysis:BTCUSDT")
    assert not replica.post("analyze-symbol", symbol="BTCUSDT").json()["data"]["cached"]
    assert computed(replica) == 2


@pytest.mark.parametrize("garbage", ["", "{}", "no json", '{"symbol": 5}'])
def test_what_is_no_analysis_in_redis_is_computed_anew(
    start: Start, garbage: str, server: StreamServer
) -> None:
    replica = start(server)
    server.ask("SET", "hama:analysis:AAPL.US", garbage)
    data = replica.post("analyze-symbol", symbol="AAPL.US").json()["data"]
    assert (data["symbol"], data["cached"]) == ("AAPL.US", False)
    assert json.loads(server.ask("GET", "hama:analysis:AAPL.US"))["symbol"] == "AAPL.US"


def test_a_redis_without_memory_costs_no_answer_and_one_line_of_log(
    server: StreamServer, start: Start
) -> None:
    replica = start(server, HAMA_CACHE_LOOK_SECONDS="0")
    assert replica.port
    server.ask("CONFIG", "SET", "maxmemory", 1)
    cached = [
        replica.post("analyze-batch", symbols=SYMBOLS).json()["data"]["cached"] for _ in range(3)
    ]
    assert cached == [0, 78, 78]
    assert sum(event.startswith("redis is full") for event in replica.events()) == 1
    server.ask("CONFIG", "SET", "maxmemory", 0)
    assert replica.post("analyze-batch", symbols=SYMBOLS).json()["data"]["cached"] == 78
    assert len(server.ask("KEYS", "hama:analysis:*")) == 78


def test_a_claim_of_a_process_that_died_is_waited_out(server: StreamServer, start: Start) -> None:
    replica = start(server)
    server.ask("SET", "hama:claim:BTCUSDT", "gone", "PX", 1500)
    data = replica.post("analyze-symbol", symbol="BTCUSDT").json()["data"]
    assert not data["cached"]
    assert server.ask("EXISTS", "hama:claim:BTCUSDT") == 0


def test_without_redis_the_service_is_whole_and_silent(start: Start) -> None:
    replica = start(None, REDIS_ENABLED="false", REDIS_URL="redis://127.0.0.1:1")
    first = replica.post("analyze-batch", symbols=SYMBOLS).json()["data"]
    second = replica.post("analyze-batch", symbols=SYMBOLS).json()["data"]
    assert (first["cached"], second["cached"]) == (0, 78)
    stats: dict[str, Any] = replica.stats()
    assert (stats["cache_type"], stats["memory_cache_fallback"]) == ("memory", False)
    assert replica.stop() == 0
    assert {entry["level"] for entry in replica.log} == {"info"}


def test_a_service_that_starts_before_redis_is_ready_and_answers(start: Start) -> None:
    replica = start(None, REDIS_URL="redis://127.0.0.1:1")
    assert replica.post("analyze-symbol", symbol="BTCUSDT").status_code == 200
    assert replica.get("scheduler/status").json()["data"]["available"] is False
