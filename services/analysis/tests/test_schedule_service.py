"""The schedule in the service itself: two processes, one Redis, the wall clock."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.analysis_replicas import Replica
from tests.servers import StreamServer

SYMBOLS = {"AAPL.US", "700.HK", "BTCUSDT"}
GUARD_SECONDS = 180  # only ends a wait that would never end
Start = Callable[..., Replica]


@pytest.fixture
def server(start_server: Callable[..., StreamServer]) -> StreamServer:
    return start_server()


@pytest.fixture
def start(server: StreamServer) -> Iterator[Start]:
    with ExitStack() as stack:

        def begin(**environment: str) -> Replica:
            scheduled = {
                "REDIS_URL": server.url,
                "HAMA_SCHEDULER_ENABLED": "true",
                "HAMA_SCHEDULER_INTERVAL": "0.02",
                "HAMA_SYMBOLS": ",".join(sorted(SYMBOLS)),
            }
            replica = Replica(**(scheduled | environment))
            stack.callback(replica.stop)
            return replica

        yield begin


def wait_for(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + GUARD_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.1)


def fired(*replicas: Replica) -> list[str]:
    """Slots in the logs of all."""
    entries = [entry for replica in replicas for entry in replica.log]
    return [entry["slot"] for entry in entries if entry["event"] == "fired"]


def test_two_replicas_fire_each_slot_once_and_publish_the_states(
    server: StreamServer, start: Start
) -> None:
    replicas = start(), start()
    wait_for(lambda: len(fired(*replicas)) >= 4, "four slots")
    slots = fired(*replicas)
    assert len(slots) == len(set(slots))
    wait_for(lambda: server.ask("XLEN", "analysis:hama") >= len(SYMBOLS), "the first states")
    entries = server.ask("XRANGE", "analysis:hama", "-", "+")
    keys = [dict(zip(flat[::2], flat[1::2], strict=True))["k"] for _, flat in entries]
    assert set(keys) == SYMBOLS
    assert server.ask("XLEN", "tasks") > 0


def test_stopped_through_one_replica_all_are_until_it_is_started_even_over_a_restart(
    start: Start,
) -> None:
    replicas = start(), start()
    wait_for(lambda: bool(fired(*replicas)), "a slot")
    assert not replicas[0].post("scheduler/stop").json()["data"]["running"]
    assert not replicas[1].get("scheduler/status").json()["data"]["running"]
    for replica in replicas:
        assert replica.stop() == 0
    again = start()
    data = again.get("scheduler/status").json()["data"]
    assert (data["running"], data["next_slot"]) == (False, None)
    assert data["last_slot"] is not None
    time.sleep(3)  # more than a slot
    assert fired(again) == []
    assert again.post("scheduler/start").json()["data"]["running"]
    wait_for(lambda: bool(fired(again)), "a slot")


def test_a_smart_refresh_refreshes_what_was_asked_for_through_any_replica(start: Start) -> None:
    asked = start(HAMA_SCHEDULER_WATCHED_ONLY="true", HAMA_SCHEDULER_ENABLED="false")
    refreshing = start(HAMA_SCHEDULER_WATCHED_ONLY="true")
    assert asked.post("analyze-symbol", symbol="BTCUSDT").status_code == 200
    assert asked.post("analyze-symbol", symbol="NOSUCH.US").status_code == 404

    def watched() -> int:
        count: int = refreshing.get("scheduler/status").json()["data"]["symbols_count"]
        return count

    wait_for(lambda: watched() == 1, "the other replica's knowledge")
    wait_for(
        lambda: refreshing.get("scheduler/status").json()["data"]["last_outcome"].startswith("1 "),
        "a refresh of one",
    )
