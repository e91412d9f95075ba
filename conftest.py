"""Fixtures that every member's tests share: real servers, started in milliseconds."""

import os
import shutil
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import uvloop

from streamdesk.console.adapters.redis_server import find_server
from streamdesk.console.errors import NoServerError
from tests.postgres import PostgresServer, find_programs
from tests.servers import SentinelCluster, StreamServer

pytest_plugins = ["tests.timing"]
WHOLE = Path(__file__).parent / "tests"  # tests of what crosses services

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("streamdesk", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("streamdesk")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Count coverage in the members' own tests alone: it costs a third of their CPU."""
    for item in items:
        if item.path.is_relative_to(WHOLE):
            item.add_marker("no_cover")


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], AbstractEventLoop]]:
    """Tests run on the loop that services run on: it is not asyncio's own in every detail."""
    return {"uvloop": uvloop.new_event_loop}


def server_program(folder: Path, name: str | None) -> str:
    """The server that `streamdesk up` would start, or the one of this name on the PATH."""
    if name is not None:
        path = shutil.which(name)
        return path or pytest.skip(f"no {name} on the PATH")
    try:
        return str(find_server(folder))
    except NoServerError as error:
        if "REDIS_URL" in os.environ:
            pytest.skip(f"a server to be stopped and frozen is needed: {error}")
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., StreamServer]]:
    """Starts servers; ends them with the session. `binary` names one on the PATH."""
    started: list[StreamServer] = []

    def start(binary: str | None = None) -> StreamServer:
        folder = tmp_path_factory.mktemp("server")
        server = StreamServer(server_program(folder, binary), folder)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[SentinelCluster]:
    """A master, two replicas and three Sentinels of the test's own, healthy."""
    cluster = SentinelCluster(server_program(tmp_path, None), tmp_path)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def valkey_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a server that all tests of a worker share: use keys of your own."""
    try:
        find_server(tmp_path_factory.mktemp("server"))
    except NoServerError:
        if "REDIS_URL" in os.environ:
            return os.environ["REDIS_URL"]
    start: Callable[[], StreamServer] = request.getfixturevalue("start_server")
    return start().url


@pytest.fixture(scope="session")
def redis_url(start_server: Callable[..., StreamServer]) -> str:
    """The same with Debian's Redis, the oldest that is supported."""
    return start_server("redis-server").url


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server that all tests of a worker share: use databases of your own."""
    programs = find_programs()
    if programs is None:
        pytest.skip("no PostgreSQL here: its programs come with Debian's package postgresql")
    server = PostgresServer(programs)
    yield server
    server.remove()


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of an empty database of the test's own."""
    name = postgres.create_database()
    yield postgres.url(name)
    postgres.drop_database(name)
