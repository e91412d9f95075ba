"""The benchmark measures what it claims: tiny rounds on a real server. No speed is asserted."""

import json
import shutil
import sys
from collections.abc import Callable

import pytest

from tests.benchmarks import ours
from tests.benchmarks.bus import Size, our_figures
from tests.benchmarks.child import Child, ChildError
from tests.benchmarks.events import ENTRIES, FIRST_NUMBER, Tick
from tests.benchmarks.figures import WANTED, Wanted, our_lines, peer_lines, rounded
from tests.benchmarks.peers.common import Tick as PeersTick
from tests.benchmarks.server import PROGRAMS, clear
from tests.servers import StreamServer

TINY = Size(3_000, 2_000, 0.2, 100, 2_000, 1, rounds=1)
COMPARED = {"ratio_to_c", "publish_over_faststream", "consume_over_faststream"}
FAILOVER = {"failover_gap_s", "planned_gap_s", "acked_lost"}


@pytest.fixture(scope="module")
def server(start_server: Callable[[], StreamServer]) -> StreamServer:
    return start_server()


def test_our_rows_give_every_figure_that_needs_one_server_and_lose_nothing(
    server: StreamServer,
) -> None:
    figures = our_figures(server, TINY)
    assert set(figures) == set(WANTED) - COMPARED - FAILOVER
    assert figures["consumers_100_lost"] == figures["consumers_100_doubled"] == 0
    assert all(value > 0 for name, value in figures.items() if not name.startswith("consumers"))
    assert figures["e2e_p50_ms"] <= figures["e2e_p99_ms"]
    assert figures["publish_p50_ms"] <= figures["publish_p99_ms"]
    assert json.loads(json.dumps(rounded(figures))).keys() == figures.keys()


@pytest.mark.skipif(not any(map(shutil.which, PROGRAMS)), reason="no client in C on the PATH")
def test_the_client_in_c_writes_entries_with_the_fields_of_ours(server: StreamServer) -> None:
    assert ours.c_rate(server, 1_000, 1) > 0
    [[_, flat]] = server.ask("XRANGE", "bench:c", "-", "+", "COUNT", 1)
    clear(server)
    ours.run(ours.one_entry(server.url))
    [[_, mine]] = server.ask("XRANGE", ENTRIES.key, "-", "+")
    assert flat[::2] == mine[::2]
    assert [len(value) for value in flat[1::2]] == [len(value) for value in mine[1::2]]


def test_clearing_leaves_nothing_in_memory_and_no_rewrite_under_way(server: StreamServer) -> None:
    server.ask("SET", "left", "over")
    clear(server)
    assert server.ask("DBSIZE") == 0
    assert server.info("persistence")["aof_rewrite_in_progress"] == "0"


def test_the_peers_send_the_same_200_bytes_as_we_do() -> None:
    mine = Tick(number=FIRST_NUMBER).model_dump_json()
    assert PeersTick(number=FIRST_NUMBER).model_dump_json() == mine
    assert len(mine) == 200


def test_a_child_that_ends_without_an_answer_is_an_error() -> None:
    with (
        Child(sys.executable, "tests.benchmarks.roles", "no-such-role", "memory://x") as child,
        pytest.raises(ChildError, match="'roles no-such-role memory://x' ended with status 1"),
    ):
        child.ask(count=1)


@pytest.mark.parametrize(
    ("wanted", "met", "missed"),
    [
        (Wanted(">=", 4), 4.0, 3.99),
        (Wanted("<=", 0.5), 0.5, 0.51),
        (Wanted("=", 0), 0.0, 1.0),
    ],
)
def test_a_figure_is_met_at_its_bound_and_missed_beyond(
    wanted: Wanted, met: float, missed: float
) -> None:
    assert wanted.is_met(met)
    assert not wanted.is_met(missed)


def test_the_table_says_what_is_missed_and_where_ours_loses() -> None:
    figures: dict[str, float] = {
        "entry_publish_per_s": 120_000,
        "entry_consume_per_s": 90_000,
        "c_publish_per_s": 240_000,
        "slow_publish_per_s": 60_000,
        "slow_consume_per_s": 45_000,
        "fast_publish_per_s": 60_000,
        "fast_consume_per_s": 180_000,
    }
    lines = list(our_lines(figures))
    assert [line.split()[-1] for line in lines[1:]] == ["met", "MISSED"]
    assert lines[1].split()[:4] == ["entry_publish_per_s", "120,000", ">=", "100,000"]
    titles = {"c": "c 1.0", "slow": "slow 2.0", "fast": "fast 3.0"}
    _, in_c, slow, fast = peer_lines(figures, titles)
    assert in_c.split() == ["c", "1.0", "240,000", "0.50x", "<-", "ours", "loses"]
    assert slow.split() == ["slow", "2.0", "60,000", "2.00x", "45,000", "2.00x"]
    assert fast.split()[-5:] == ["180,000", "0.50x", "<-", "ours", "loses"]


def test_rates_are_whole_numbers_and_small_figures_keep_three_digits() -> None:
    assert rounded({"a": 123_456.7, "b": 0.12345, "c": 0.0}) == {"a": 123_457, "b": 0.123, "c": 0}
