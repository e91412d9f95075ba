"""Time the news filter, and kill it: `make bench-news`.

Filters are processes started as a user starts them, with the settings they have by default, on a
server of our own with an append-only file. Publisher and reader are processes too and share the
machine with what they measure. The last line is one JSON object with all figures; `--quick` makes
the rounds shorter and fewer.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmarks import news_rows as rows
from tests.benchmarks.figures import Wanted, our_lines, rounded
from tests.benchmarks.server import bench_server
from tests.servers import StreamServer

WANTED = {
    "filter_per_s": Wanted(">=", 5_000),
    "e2e_p95_s": Wanted("<=", 1),
    "lost": Wanted("=", 0),
    "doubled": Wanted("=", 0),
}
NOTES = (
    "filter_per_s: two filters, all articles in the stream before the clock runs, no headline",
    "twice, no score known before; every article is young and about the watchlist, so each is",
    "scored. Two of five are good news. Best of rounds. *_cpu_us: microseconds of CPU time an",
    "article, of both filters together and of the server. Least of rounds.",
    "e2e: two filters at 1,000 articles a second, from the fetch of an article (when it was due)",
    "to the entry of the filtered one, of those that passed. Best of rounds.",
    "lost, doubled: at 1,000 articles a second, all of which pass, one of two filters is killed",
    "with SIGKILL every 5 s, and replaced. left_in_hand: pending at the killed ones. Their",
    "lease is 5 s instead of 30, so that the run ends sooner.",
)


@dataclass(frozen=True, slots=True)
class Size:
    """The sizes of all rounds.

    Args:
        articles: of a round at full speed.
        paced_seconds: of a round at a steady rate.
        killed_seconds: of the run with kills.
        rounds: of the first two.
        warm_up: articles before the first round of those.
        killed_rate_per_s: articles a second in the run with kills.
    """

    articles: int
    paced_seconds: float
    killed_seconds: float
    rounds: int
    warm_up: int = rows.WARM_UP
    killed_rate_per_s: int = rows.RATE_PER_S


QUICK = Size(articles=20_000, paced_seconds=2, killed_seconds=20, rounds=2)
FULL = Size(articles=50_000, paced_seconds=30, killed_seconds=120, rounds=3)

Row = Callable[[StreamServer, Size], dict[str, float]]
ROWS: tuple[Row, ...] = (
    lambda server, size: rows.full_speed(server, size.articles, size.rounds, size.warm_up),
    lambda server, size: rows.end_to_end(server, size.paced_seconds, size.rounds, size.warm_up),
    lambda server, size: rows.killed(server, size.killed_seconds, size.killed_rate_per_s),
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
