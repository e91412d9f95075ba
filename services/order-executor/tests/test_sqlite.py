"""What is special about SQLite: processes that wait for the one file."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text

from streamdesk.order_executor.adapters.database.engine import Mode
from streamdesk.order_executor.adapters.database.sqlite import SqliteEngine
from streamdesk.order_executor.errors import DatabaseBusyError

LOOKS = 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "desk.db")) as database:
        database.execute("CREATE TABLE notes (number INTEGER)")
    return tmp_path / "desk.db"


@pytest.fixture
def holder(path: Path) -> Iterator[sqlite3.Connection]:
    """Another process that writes, until its commit."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


def note(connection: Connection) -> None:
    connection.execute(text("INSERT INTO notes VALUES (1)"))


def traced(engine: SqliteEngine, said: Callable[[str], None]) -> None:
    """Report every statement that a connection begins."""

    def trace(connection: sqlite3.Connection, _: object) -> None:
        connection.set_trace_callback(said)

    event.listen(engine._engine, "connect", trace)


async def test_a_writer_asks_again_and_again_while_another_process_writes(
    path: Path, holder: sqlite3.Connection
) -> None:
    engine, said = SqliteEngine(f"sqlite:///{path}", 60), list[str]()
    traced(engine, said.append)
    writing = asyncio.create_task(engine.transact(note, Mode.WRITE))
    async with asyncio.timeout(30):
        while said.count("BEGIN IMMEDIATE") < LOOKS:
            await asyncio.sleep(0)
    holder.execute("COMMIT")
    await writing
    await engine.close()
    assert holder.execute("SELECT count(*) FROM notes").fetchone() == (1,)


async def test_a_writer_gives_up_after_its_time_and_the_connection_waits_as_before(
    path: Path, holder: sqlite3.Connection
) -> None:
    engine = SqliteEngine(f"sqlite:///{path}", 0.05)
    with pytest.raises(DatabaseBusyError, match="stayed locked"):
        await engine.transact(note, Mode.WRITE)
    holder.execute("COMMIT")

    def wait(connection: Connection) -> int:
        return int(connection.execute(text("PRAGMA busy_timeout")).scalar_one())

    assert await engine.transact(wait, Mode.READ) == 50
    await engine.transact(note, Mode.WRITE)
    await engine.close()
