"""The rows of the analysis benchmark: response times for one client and for many."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from streamdesk.contracts.topics import TASKS
from streamdesk.market import UNIVERSE
from tests.analysis_replicas import PREFIX, Replica
from tests.benchmarks.child import ROOT
from tests.benchmarks.http_clients import Answered, Load
from tests.benchmarks.server import clear
from tests.servers import StreamServer

SYMBOLS = tuple(instrument.symbol for instrument in UNIVERSE)
ONE_EACH = tuple(json.dumps({"symbol": symbol}) for symbol in SYMBOLS)
ALL = json.dumps({"symbols": SYMBOLS})
HIT_CLIENTS = 50
HIT_ROUNDS = 4  # for one of the others: they are short
PACE_SECONDS = 0.02
STAMPEDE_CLIENTS = 100
LONGEST_SECONDS = 180  # only ends what hangs


@contextmanager
def replicas(server: StreamServer, count: int = 1) -> Iterator[list[Replica]]:
    """This number of new replicas on an empty server, listening."""
    clear(server)
    started = [Replica(REDIS_URL=server.url) for _ in range(count)]
    try:
        for replica in started:
            assert replica.port
        yield started
    finally:
        for replica in started:
            replica.stop()


def put_on(load: Load) -> Answered:
    """The result of a load; its clients run in a separate process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.http_clients"],
        input=json.dumps(asdict(load)),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
        check=True,
        timeout=LONGEST_SECONDS,
    )
    answered = Answered(**json.loads(done.stdout))
    assert set(answered.statuses) == {"200"}, answered.statuses
    return answered


def hits(server: StreamServer, requests: int, rounds: int) -> dict[str, float]:
    """Cached responses: at full speed, and at a fixed rate."""
    path = f"{PREFIX}/analyze-symbol"
    with replicas(server) as [replica]:
        assert replica.post("preload").json()["data"]["refreshed"] == len(SYMBOLS)
        port, warm_up = (replica.port,), requests // 10
        hard = Load(port, HIT_CLIENTS, path, ONE_EACH, requests, warm_up)
        paced = Load(port, HIT_CLIENTS, path, ONE_EACH, requests // 4, warm_up // 4, PACE_SECONDS)
        at_full = [put_on(hard) for _ in range(HIT_ROUNDS * rounds)]
        at_pace = [put_on(paced) for _ in range(rounds)]
        computed = replica.stats()["computations"]
    assert computed == len(SYMBOLS), f"{computed} analyses were computed meanwhile"
    return {
        "hit_p50_ms": min(each.percentile_ms(0.5) for each in at_full),
        "hit_p99_ms": min(each.percentile_ms(0.99) for each in at_full),
        "hits_per_s": max(HIT_CLIENTS * requests / each.duration_seconds for each in at_full),
        "hit_paced_p99_ms": min(each.percentile_ms(0.99) for each in at_pace),
    }


def cold_symbols(server: StreamServer, rounds: int) -> dict[str, float]:
    """The first request for each symbol, one after the other."""
    slow_ms = []
    for _ in range(rounds):
        with replicas(server) as [replica]:
            path = f"{PREFIX}/analyze-symbol"
            load = Load((replica.port,), 1, path, ONE_EACH, len(SYMBOLS))
            slow_ms.append(put_on(load).percentile_ms(0.95))
    return {"cold_symbol_ms": min(slow_ms)}


def batches(server: StreamServer, warm: int, rounds: int) -> dict[str, float]:
    """A batch of all 78: the first, and those after it."""
    cold_ms, warm_ms = [], []
    for _ in range(rounds):
        with replicas(server) as [replica]:
            path = f"{PREFIX}/analyze-batch"
            cold_ms.append(put_on(Load((replica.port,), 1, path, (ALL,))).percentile_ms(1))
            load = Load((replica.port,), 1, path, (ALL,), warm)
            warm_ms.append(put_on(load).percentile_ms(0.99))
    return {"batch78_cold_ms": min(cold_ms), "batch78_warm_ms": min(warm_ms)}


def stampede(server: StreamServer, rounds: int) -> dict[str, float]:
    """A hundred clients ask two replicas for all 78 at once."""
    computes, slowest_ms = [], []
    for _ in range(rounds):
        with replicas(server, 2) as both:
            ports = tuple(replica.port for replica in both)
            load = Load(ports, STAMPEDE_CLIENTS, f"{PREFIX}/analyze-batch", (ALL,))
            slowest_ms.append(put_on(load).percentile_ms(1))
            computes.append(sum(replica.stats()["computations"] for replica in both))
    return {"stampede_computes": max(computes), "stampede_ms": min(slowest_ms)}


def job(server: StreamServer, stocks: int, rounds: int) -> dict[str, float]:
    """The daily indicators of many stocks, from the bar store to the store and the bus."""
    seconds, events = [], []
    with tempfile.TemporaryDirectory() as folder:
        _indicators(server, folder, "--simulate", str(stocks))
        for _ in range(rounds):
            clear(server)
            began = time.perf_counter()
            report = _indicators(server, folder, "--fresh")
            seconds.append(time.perf_counter() - began)
            assert (report["computed"], report["published"]) == (stocks, True), report
            events.append(int(server.ask("XLEN", TASKS.key)))
    return {"job_5000_s": min(seconds), "events_5000": max(events)}


def _indicators(server: StreamServer, folder: str, *options: str) -> dict[str, object]:
    """Run the job; its report."""
    done = subprocess.run(
        [sys.executable, "-m", "streamdesk.analysis", "indicators", *options],
        env=os.environ | {"BAR_STORE_FOLDER": folder, "REDIS_URL": server.url},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=LONGEST_SECONDS,
    )
    report: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return report
