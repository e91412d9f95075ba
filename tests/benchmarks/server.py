"""The server that all rows run on, and its own benchmark client in C."""

import csv
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from streamdesk.console.adapters.redis_server import find_server
from tests.benchmarks.events import CALL
from tests.servers import StreamServer

PROGRAMS = ("valkey-benchmark", "redis-benchmark")


@contextmanager
def bench_server() -> Iterator[StreamServer]:
    """A server with an append-only file synced every second.

    No rewrite of that file may start during a row: `clear` triggers each of them.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        server = StreamServer(
            str(find_server(folder)), folder, "--auto-aof-rewrite-percentage", "0"
        )
        try:
            yield server
        finally:
            server.stop()


def clear(server: StreamServer) -> None:
    """Drop everything, in memory and on disk, and wait until the server is idle."""
    server.ask("FLUSHALL", "SYNC", timeout_seconds=60)
    server.ask("BGREWRITEAOF")
    while _rewrites(server):
        time.sleep(0.005)


def _rewrites(server: StreamServer) -> bool:
    state = server.info("persistence")
    return "1" in (state["aof_rewrite_in_progress"], state["aof_rewrite_scheduled"])


def c_publish_per_s(server: StreamServer, fields: dict[str, str], count: int) -> float:
    """XADD by the server's own benchmark: one connection, the same depth of pipeline as ours.

    Args:
        server: the server to use.
        fields: of an entry as the bus writes it. The client in C sends one and the same entry
            again and again, with bodies of as many bytes; it encodes nothing, makes no ids and
            looks at no answer.
        count: entries.

    Raises:
        FileNotFoundError: there is no such program.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise FileNotFoundError(f"none of {PROGRAMS} is on the PATH: install redis-tools")
    words = [word for name, value in fields.items() for word in (name, "x" * len(value))]
    done = subprocess.run(
        [
            program, "-h", "127.0.0.1", "-p", str(server.port), "-n", str(count), "-c", "1",
            "-P", str(CALL), "--csv", "XADD", "bench:c", "*", *words,
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    assert server.ask("XLEN", "bench:c") == count
    return float(list(csv.reader(done.stdout.splitlines()))[-1][1])
