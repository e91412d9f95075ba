"""The executor's benchmark measures what it claims: tiny rounds. No speed is asserted."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from streamdesk.order_executor.factory import OrderExecutor
from tests.benchmarks.executor import EXECUTORS, WANTED, Size, measured
from tests.benchmarks.executor_books import write_books
from tests.benchmarks.executor_runs import settings_of
from tests.benchmarks.figures import rounded
from tests.plain_audit import plain_verify
from tests.servers import StreamServer

TINY = Size(decisions=10, orders=4, books=2_000)


@pytest.fixture(scope="module")
def server(start_server: Callable[[], StreamServer]) -> StreamServer:
    return start_server()


def test_every_figure_is_there_and_no_order_is_made_twice(server: StreamServer) -> None:
    figures = measured(server, TINY)
    rates = {f"throughput_{executors}" for executors in EXECUTORS}
    assert set(WANTED) | rates | {"decide_us"} <= set(figures)
    assert figures["doubled"] == 0
    assert all(value > 0 for name, value in figures.items() if name != "doubled")
    # An order of a broker whose answer takes 50 ms takes at least that.
    assert figures["throughput_1"] < 20
    assert json.loads(json.dumps(rounded(figures))).keys() == figures.keys()


async def test_the_books_that_are_audited_are_such_as_an_executor_keeps(tmp_path: Path) -> None:
    async with OrderExecutor(settings_of(tmp_path, "bench")) as executor:
        fills = write_books(tmp_path / "ledger.db", tmp_path / "paper.db", 100)
        assert fills == 250
        assert await plain_verify(executor.ledger, await executor.broker.all_reports()) == []
        portfolio = await executor.ledger.portfolio()
    assert portfolio.holdings == {}
    # Each pair of orders earns a dollar a share, less five fees.
    assert portfolio.realized_pnl == 50 * (100 - 5)
