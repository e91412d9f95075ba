"""Time the bus, its peers and a client in C on one server, in one run: `make bench-bus`.

Every row is the best of three rounds; the server keeps an append-only file, synced every second.
Rates are of one process; before each round everything is dropped from the server. The last line
is one JSON object with all figures. `--quick` leaves out the failover rows, `--failover` measures
only those.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmarks import latency, ours
from tests.benchmarks.figures import our_lines, peer_lines, rounded
from tests.benchmarks.peer_rows import PEERS, peer_rates
from tests.benchmarks.server import bench_server
from tests.servers import StreamServer

C_TITLE = "redis-benchmark in C"
NOTES = (
    "Publishing: pipelines of 500 where there are any (ours, redis-benchmark, FastStream), else",
    "one by one or 50 concurrently. Consuming: batches of 500 if possible (ours, FastStream).",
    "Ours, FastStream and taskiq validate every event; arq, dramatiq and Celery pass on a dict.",
)


@dataclass(frozen=True, slots=True)
class Size:
    """The sizes of all rounds.

    Args:
        frame_events: of a round of frames between two processes.
        entry_events: of a round of entries, written and read.
        paced_seconds: of a round at a steady rate.
        single_publishes: of a round.
        group_events: for a hundred consumers.
        peer_multiple: of the peers' usual counts.
        rounds: of which the best counts.
        failovers: half of them planned.
    """

    frame_events: int
    entry_events: int
    paced_seconds: float
    single_publishes: int
    group_events: int
    peer_multiple: int
    rounds: int = 3
    failovers: int = 50


QUICK = Size(250_000, 50_000, 1.5, 2_000, 100_000, 1)
FULL = Size(1_000_000, 200_000, 10, 10_000, 100_000, 4)

Rows = Callable[[StreamServer, Size], dict[str, float]]

OUR_ROWS: tuple[Rows, ...] = (
    lambda server, size: {
        "frame_e2e_per_s": ours.frame_e2e_per_s(server, size.frame_events, size.rounds)
    },
    lambda server, size: ours.entry_rates(server, size.entry_events, size.rounds),
    lambda server, size: latency.end_to_end(server, size.paced_seconds, size.rounds),
    lambda server, size: latency.one_publish(server, size.single_publishes, size.rounds),
    lambda server, size: ours.consumers_100(server, size.group_events),
)


def say(*lines: str) -> None:
    """Print."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def our_figures(server: StreamServer, size: Size) -> dict[str, float]:
    """All rows that need only the bus and one server."""
    figures: dict[str, float] = {}
    for rows in OUR_ROWS:
        figures |= rows(server, size)
    return figures


def compared(server: StreamServer, size: Size) -> tuple[dict[str, float], dict[str, str]]:
    """Figures of ours, a client in C and the peers, with the title of each."""
    figures = our_figures(server, size)
    figures["c_publish_per_s"] = ours.c_rate(server, size.entry_events, size.rounds)
    titles = {"c": C_TITLE}
    for peer in PEERS:
        found, titles[peer.name] = peer_rates(server, peer, size.peer_multiple, size.rounds)
        figures |= found
    for verb in ("publish", "consume"):
        mine = figures[f"entry_{verb}_per_s"]
        figures[f"{verb}_over_faststream"] = mine / figures[f"faststream_{verb}_per_s"]
    figures["ratio_to_c"] = figures["entry_publish_per_s"] / figures["c_publish_per_s"]
    return figures, titles


def main() -> None:
    """Measure what was asked for, print the table, and one JSON object last."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--quick", action="store_true", help="no failover rows, within 50 s")
    only.add_argument("--failover", action="store_true", help="the failover rows alone")
    options = parser.parse_args()
    figures: dict[str, float] = {}
    titles: dict[str, str] = {}
    if not options.failover:
        with bench_server() as server:
            figures, titles = compared(server, QUICK if options.quick else FULL)
    if not options.quick:
        from tests.benchmarks import failover  # noqa: PLC0415 - it starts a cluster of its own

        figures |= failover.measure(FULL.failovers)
    say(*our_lines(figures))
    if titles:
        say("", *peer_lines(figures, titles), *NOTES)
    say("", json.dumps(rounded(figures)))


if __name__ == "__main__":
    main()
