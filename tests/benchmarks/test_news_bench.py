"""The news benchmark measures what it claims: tiny rounds. No speed is asserted."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.benchmarks.figures import rounded
from tests.benchmarks.news import WANTED, Size, measured
from tests.benchmarks.news_articles import article, hash_of
from tests.benchmarks.news_rows import percentiles
from tests.servers import StreamServer

TINY = Size(
    articles=250, paced_seconds=0.5, killed_seconds=5, rounds=2, warm_up=100, killed_rate_per_s=100
)
MANY = 30_000


@pytest.fixture(scope="module")
def server(start_server: Callable[[], StreamServer]) -> StreamServer:
    return start_server()


def test_every_figure_is_there_and_nothing_is_lost_with_a_filter(server: StreamServer) -> None:
    figures = measured(server, TINY)
    assert set(WANTED) <= set(figures)
    assert (figures["lost"], figures["doubled"], figures["kills"]) == (0, 0, 1)
    assert figures["filter_per_s"] > 0
    assert 0 < figures["e2e_p50_s"] <= figures["e2e_p95_s"] <= figures["e2e_p99_s"]
    assert 0.2 < figures["passed_share"] < 0.6
    assert json.loads(json.dumps(rounded(figures))).keys() == figures.keys()


@pytest.mark.parametrize("is_loud", [False, True])
def test_no_headline_and_no_link_comes_twice(is_loud: bool) -> None:
    now = datetime.now(UTC)
    articles = [article(number, now, is_loud=is_loud) for number in range(MANY)]
    assert len({each.title for each in articles}) == MANY
    assert len({each.link_hash for each in articles}) == MANY
    assert articles[7].link_hash == hash_of(7)
    assert all(300 <= len(each.content) <= 600 for each in articles)


def test_a_percentile_lies_between_the_times() -> None:
    found = percentiles([number / 100 for number in range(101)])
    assert found == pytest.approx({"e2e_p50_s": 0.5, "e2e_p95_s": 0.95, "e2e_p99_s": 0.99})
