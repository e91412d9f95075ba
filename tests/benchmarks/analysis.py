"""Time the analysis service and the daily job: `make bench-analysis`.

Everything is measured from outside, as a client sees it: processes started as a user starts them,
HTTP over loopback, a server of our own with an append-only file. The clients share the machine
with what they measure. Each row says which of its rounds counts. The last line is one JSON object
with all figures; `--quick` makes the rounds shorter.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmarks import analysis_rows as rows
from tests.benchmarks.figures import Wanted, our_lines, rounded
from tests.benchmarks.server import bench_server
from tests.servers import StreamServer

WANTED = {
    "hit_p99_ms": Wanted("<=", 5),
    "cold_symbol_ms": Wanted("<=", 50),
    "batch78_cold_ms": Wanted("<=", 300),
    "batch78_warm_ms": Wanted("<=", 30),
    "stampede_computes": Wanted("=", 78),
    "job_5000_s": Wanted("<=", 5),
    "events_5000": Wanted("<=", 5_102),
}
NOTES = (
    "hit: 50 clients, each asks again as soon as it is answered, which is all that one replica can",
    "do; hit_paced: 50 clients with 20 ms between an answer and the next question. Best of rounds.",
    "cold_symbol: 95th percentile of 78 first questions; batch78_cold: the first that a replica",
    "gets; batch78_warm: 99th percentile. Best of rounds. stampede: most of all rounds.",
    "job: `python -m streamdesk.analysis indicators`, from its start to its end. Best of rounds.",
)


@dataclass(frozen=True, slots=True)
class Size:
    """The sizes of all rounds.

    Args:
        hits: requests of each of the 50 clients in a round.
        warm: warm batches in a round.
        stocks: of the job.
        rounds: of each row; of the hits, which are short, four times as many.
    """

    hits: int
    warm: int
    stocks: int
    rounds: int


QUICK = Size(hits=250, warm=50, stocks=5_000, rounds=2)
FULL = Size(hits=1_000, warm=300, stocks=5_000, rounds=4)

Row = Callable[[StreamServer, Size], dict[str, float]]
ROWS: tuple[Row, ...] = (
    lambda server, size: rows.hits(server, size.hits, size.rounds),
    lambda server, size: rows.cold_symbols(server, size.rounds),
    lambda server, size: rows.batches(server, size.warm, size.rounds),
    lambda server, size: rows.stampede(server, size.rounds),
    lambda server, size: rows.job(server, size.stocks, size.rounds),
)


def measured(server: StreamServer, size: Size) -> dict[str, float]:
    """All figures."""
    figures: dict[str, float] = {}
    for row in ROWS:
        figures |= row(server, size)
    return figures


def main() -> None:
    """Measure, print the table, and one JSON object last."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="within 50 s")
    options = parser.parse_args()
    with bench_server() as server:
        figures = measured(server, QUICK if options.quick else FULL)
    lines = [*our_lines(figures, WANTED), "", *NOTES, "", json.dumps(rounded(figures))]
    sys.stdout.write("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main()
