"""One set of tables in one database, by its URL.

What is special about a kind of database is in its engine.

A transaction is a plain function of a connection. It may be run more than once before it is
committed, so it does nothing but read and write through that connection.

A writing transaction excludes all other writers from its first statement on, so what it read stays
true until it commits. A transaction runs to its end even when the task that asked for it is
cancelled: a half-run commit would leave its outcome unknown.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection

from streamdesk.order_executor.adapters.database.engine import Engine, Mode, RestartError
from streamdesk.order_executor.adapters.database.table_set import TableSet
from streamdesk.order_executor.adapters.database.upgrade import upgrade
from streamdesk.order_executor.errors import DatabaseError
from streamdesk.runtime import logger

log = logger(__name__)
T = TypeVar("T")
RUNS = 10
"""How often a transaction is run that the database, or the loss of a connection, undoes."""


class _Proof:
    """Runs a transaction, and sees whether it changes anything; a server that answers writes."""

    def __init__(self, work: Callable[[Connection], Any]) -> None:
        self._work = work
        self.has_written = False

    def run(self, connection: Connection) -> Any:  # noqa: ANN401 - of the transaction
        before = _changes(connection)
        result = self._work(connection)
        self.has_written = before is None or _changes(connection) != before
        return result


def _changes(connection: Connection) -> int | None:
    """Rows that the connection has changed so far; None where the driver does not count them."""
    driver = connection.connection.driver_connection
    return driver.total_changes if isinstance(driver, sqlite3.Connection) else None


class Database:
    """Runs transactions: plain functions of a `sqlalchemy.Connection`.

    Args:
        url: sqlite:///desk.db, or postgresql://user:password@host:5432/desk.
        tables: the tables.
        busy_timeout_seconds: how long to wait for another process's transaction.
        answer_timeout_seconds: how long to wait for a server that has nothing to wait for.
        longest_read_seconds: whether it is only read, and then how long one transaction may take:
            no file is made or changed.
    """

    def __init__(
        self,
        url: str,
        tables: TableSet,
        busy_timeout_seconds: float = 30.0,
        answer_timeout_seconds: float = 10.0,
        *,
        longest_read_seconds: float | None = None,
    ) -> None:
        self._tables = tables
        waits = busy_timeout_seconds, answer_timeout_seconds
        self._engine = _engine(url, tables, *waits, longest_read_seconds)
        self._turn = asyncio.Lock()  # writers of one process queue here, not in the database
        self._running: set[asyncio.Task[Any]] = set()
        self._lost_at: float | None = None
        self._lost_to = Mode.READ

    async def open(self, prepare: Callable[[Connection], None]) -> None:
        """Bring the tables up to date; several processes may do it at once, one of them does it.

        Args:
            prepare: writes the rows that must exist, in the same transaction.

        Raises:
            DatabaseError: unavailable now, or `DatabaseRefusedError`: unusable with these settings.
        """
        await self._engine.prepare()

        def create(connection: Connection) -> tuple[str | None, str]:
            steps = upgrade(connection, self._tables)
            prepare(connection)
            return steps

        before, after = await self._to_its_end(create, Mode.SET_UP)
        if before != after:
            log.info(
                "tables brought up to date", tables=self._tables.name, before=before, after=after
            )

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction that excludes other writers, and commit it.

        Raises:
            DatabaseError: as its types say.
        """
        return await self._noted(work, Mode.WRITE)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on one consistent state of the database.

        Raises:
            DatabaseError: as its types say.
        """
        return await self._noted(work, Mode.READ)

    async def _noted(self, work: Callable[[Connection], T], mode: Mode) -> T:
        """Log once that the database is lost, and once that it is back, whatever the callers."""
        asked_at, proof = time.monotonic(), _Proof(work)
        try:
            result: T = await self._to_its_end(proof.run, mode)
        except DatabaseError as error:
            if self._lost_at is None:
                self._lost_at, self._lost_to = time.monotonic(), mode
                log.warning("database lost", tables=self._tables.name, error=str(error))
            elif mode is Mode.WRITE:
                self._lost_to = mode
            raise
        # A call from before the loss proves nothing about the time after it; nor does one that
        # changes nothing prove that a file can be written.
        is_proof = proof.has_written or self._lost_to is Mode.READ
        if self._lost_at is not None and asked_at >= self._lost_at and is_proof:
            lost_seconds = time.monotonic() - self._lost_at
            self._lost_at = None
            log.info("database back", tables=self._tables.name, lost_seconds=round(lost_seconds, 1))
        return result

    async def _to_its_end(self, work: Callable[[Connection], T], mode: Mode) -> T:
        task = asyncio.create_task(self._transact(work, mode))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # marks it as retrieved, in case no caller waits any more

    async def _transact(self, work: Callable[[Connection], T], mode: Mode) -> T:
        if mode is not Mode.WRITE:
            return await self._until_done(work, mode)
        async with self._turn:
            return await self._until_done(work, mode)

    async def _until_done(self, work: Callable[[Connection], T], mode: Mode) -> T:
        """The one place where a transaction is run again."""
        for _ in range(RUNS - 1):
            try:
                return await self._engine.transact(work, mode)
            except RestartError as error:
                log.debug("transaction run again", tables=self._tables.name, error=str(error))
        try:
            return await self._engine.transact(work, mode)
        except RestartError as error:
            raise error.otherwise from error

    async def close(self) -> None:
        """Finish what runs, then close every connection."""
        while self._running:
            await asyncio.wait(self._running)
        await self._engine.close()


def _engine(
    url: str,
    tables: TableSet,
    busy_seconds: float,
    answer_seconds: float,
    longest_read_seconds: float | None,
) -> Engine:
    """The engine for this kind of database; the driver of the other one is not imported."""
    if url.startswith("sqlite") and longest_read_seconds is not None:
        from streamdesk.order_executor.adapters.database.sqlite_read_only import (  # noqa: PLC0415
            ReadOnlySqliteEngine,
        )

        return ReadOnlySqliteEngine(url, busy_seconds)
    if url.startswith("sqlite"):
        from streamdesk.order_executor.adapters.database.sqlite import (  # noqa: PLC0415 - above
            SqliteEngine,
        )

        return SqliteEngine(url, busy_seconds)
    from streamdesk.order_executor.adapters.database.postgres import (  # noqa: PLC0415 - above
        PostgresEngine,
    )

    waits = busy_seconds, answer_seconds, longest_read_seconds
    return PostgresEngine(url, tables.turn, *waits)
