"""Time what starting each process costs: `make bench-start`.

A service counts from its start until /readyz says yes, on a server of its own and, from the second
round on, with tables that are there already; the operator, which ends where it finds no cluster,
and the command `streamdesk` until they have printed their `--help`. CPU seconds are user and system
time of the process; megabytes are its proportional share of memory, or the peak of its resident
memory where it ends by itself. Each figure is the best of its rounds. The last line is one JSON
object.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.benchmarks.figures import Wanted, our_lines
from tests.benchmarks.server import bench_server
from tests.servers import free_port

SERVICES = (
    "signal-generator",
    "order-executor",
    "news-fetcher",
    "news-filter",
    "analysis",
    "websocket-gateway",
    "alert-relay",
)
COMMANDS = {
    "operator": ("streamdesk.operator", "--help"),
    "streamdesk_help": ("streamdesk.console", "--help"),
}
EXECUTOR_CPU, SERVICE_CPU, COMMAND_CPU = 1.3, 0.8, 0.4
LONGEST_SECONDS = 120  # only ends what hangs
KIB_IN_MB = 1000 / 1024
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def key(name: str) -> str:
    """A service's name as the first part of a figure's."""
    return name.replace("-", "_")


WANTED = {
    **{f"{key(name)}_cpu_s": Wanted("<=", SERVICE_CPU) for name in (*SERVICES, "operator")},
    "order_executor_cpu_s": Wanted("<=", EXECUTOR_CPU),
    "streamdesk_help_cpu_s": Wanted("<=", COMMAND_CPU),
}


def environment(folder: Path, url: str, port: int) -> dict[str, str]:
    """What every service can start with; each ignores what is not its own."""
    return {
        **os.environ,
        "REDIS_URL": url,
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": str(port),
        "LEDGER_URL": f"sqlite:///{folder / 'ledger.db'}",
        "PAPER_BROKER_URL": f"sqlite:///{folder / 'paper.db'}",
        "NEWS_SOURCE": "simulated",
        "ANALYSIS_HOST": "127.0.0.1",
        "ANALYSIS_PORT": str(free_port()),
        "BAR_STORE_FOLDER": str(folder / "bars"),
        "GATEWAY_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(free_port()),
        "ALERT_RELAY_HOST": "127.0.0.1",
        "ALERT_RELAY_PORT": str(free_port()),
        "DINGTALK_ANY_HOST": "true",
        "DINGTALK_URL": "http://127.0.0.1:9/robot/send?access_token=PLACEHOLDER",
    }


@contextmanager
def running(words: Sequence[str], variables: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", *words],
        env=dict(variables),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until_ready(process: subprocess.Popen[str], port: int) -> None:
    """Return when a process says that it is ready.

    Raises:
        RuntimeError: the process ended, or never became ready.
    """
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} was not ready within {LONGEST_SECONDS} s")


def of_service(name: str, url: str, folder: Path) -> tuple[float, float]:
    """CPU seconds and MB of a service that is ready."""
    port = free_port()
    with running((f"streamdesk.{key(name)}",), environment(folder, url, port)) as process:
        wait_until_ready(process, port)
        words = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        share = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    ticks = int(words[11]) + int(words[12])
    found = re.search(r"^Pss: +(\d+) kB", share, re.MULTILINE)
    assert found is not None, share
    return ticks / TICKS_PER_SECOND, int(found[1]) / 1024 / KIB_IN_MB


def of_command(words: Sequence[str]) -> tuple[float, float]:
    """CPU seconds and MB of a command that ends by itself.

    Raises:
        RuntimeError: it failed.
    """
    process = subprocess.Popen([sys.executable, "-m", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(words)} failed with status {status}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024 / KIB_IN_MB


def main() -> None:
    """Measure, print the table and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each is started [3]")
    options = parser.parse_args()
    figures: dict[str, float] = {}
    with bench_server() as server, tempfile.TemporaryDirectory() as folder:
        for name in SERVICES:
            rounds = [of_service(name, server.url, Path(folder)) for _ in range(options.rounds)]
            note(figures, key(name), rounds)
    for name, words in COMMANDS.items():
        note(figures, name, [of_command(words) for _ in range(options.rounds)])
    for line in our_lines(figures, WANTED):
        sys.stdout.write(f"{line}\n")
    rounded = {name: round(value, 2) for name, value in figures.items()}
    sys.stdout.write(json.dumps(rounded) + "\n")


def note(figures: dict[str, float], name: str, rounds: Sequence[tuple[float, float]]) -> None:
    """Keep the best of the rounds of one process."""
    figures[f"{name}_cpu_s"] = min(cpu for cpu, _ in rounds)
    figures[f"{name}_mb"] = min(mb for _, mb in rounds)


if __name__ == "__main__":
    main()
