"""A server with the users that the charts' default values make."""

from collections.abc import Iterator

import pytest

from conftest import server_program
from tests.charts.redis_sentinel_chart import render, server_with_users, user_rules
from tests.servers import StreamServer


@pytest.fixture(scope="module", params=[None, "redis-server"], ids=["valkey", "redis"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StreamServer]:
    """A server with the users of the chart's default values."""
    folder = tmp_path_factory.mktemp("server")
    rules = user_rules(render())
    started = server_with_users(server_program(folder, request.param), folder, rules)
    yield started
    started.stop()
