"""The analysis benchmark measures what it claims: tiny rounds. No speed is asserted."""

from collections.abc import Callable

import pytest

from tests.benchmarks.analysis import WANTED, Size, measured
from tests.benchmarks.http_clients import Answered
from tests.servers import StreamServer

TINY = Size(hits=10, warm=5, stocks=50, rounds=1)


@pytest.fixture(scope="module")
def server(start_server: Callable[[], StreamServer]) -> StreamServer:
    return start_server()


def test_every_figure_is_there_and_each_symbol_is_computed_once(server: StreamServer) -> None:
    figures = measured(server, TINY)
    assert set(WANTED) <= set(figures)
    assert all(value > 0 for value in figures.values())
    assert figures["stampede_computes"] == 78
    assert figures["events_5000"] <= TINY.stocks + 102
    assert figures["hit_p50_ms"] <= figures["hit_p99_ms"]


def test_a_percentile_is_one_of_the_times() -> None:
    answered = Answered(seconds=[number / 1000 for number in range(1, 101)])
    assert [answered.percentile_ms(share) for share in (0, 0.5, 0.99, 1)] == [1, 51, 100, 100]
