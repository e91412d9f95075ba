"""One SQL database: SQLite now, PostgreSQL by its URL later. What is special about SQLite is here.

A transaction is a plain function of a connection, and runs in a thread, the whole of it at once. A
hop for each statement, as SQLAlchemy's asyncio drivers make them, took three times as long (41 ms
against 13 ms from signal to booked order).

A writing transaction excludes all other writers from its first statement on (SQLite: BEGIN
IMMEDIATE; elsewhere the caller locks its one account row), so what it read stays true until it
commits. A transaction runs to its end even when the task that asked for it is cancelled: a
half-run commit would leave its outcome unknown.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from streamdesk.order_executor.errors import LedgerBusyError

T = TypeVar("T")
WRITES = "streamdesk_writes"
THREADS = 3
"""One writes, the others read."""

WAL_ATTEMPTS = 50


class Database:
    """Runs transactions: plain functions of a `sqlalchemy.Connection`.

    Args:
        url: SQLAlchemy's, as in sqlite:///desk.db.
        busy_timeout_seconds: how long to wait for another process's transaction.
    """

    def __init__(self, url: str, busy_timeout_seconds: float = 30.0) -> None:
        self._is_sqlite = url.startswith("sqlite")
        self._engine = self._create_engine(url, busy_timeout_seconds)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="database")
        self._turn = asyncio.Lock()  # writers of one process queue here, not in the database
        self._running: set[asyncio.Task[Any]] = set()

    def _create_engine(self, url: str, busy_timeout_seconds: float) -> Engine:
        if not self._is_sqlite:
            return create_engine(url, pool_size=THREADS, pool_pre_ping=True)
        arguments = {
            "isolation_level": None,  # sqlite3 begins nothing by itself, `_begin` does
            "timeout": busy_timeout_seconds,
            "check_same_thread": False,  # the pool gives a connection to one thread at a time
        }
        plain = make_url(url).set(drivername="sqlite+pysqlite")
        engine = create_engine(plain, connect_args=arguments, pool_size=THREADS)
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin)
        return engine

    async def open(self, metadata: MetaData, prepare: Callable[[Connection], None]) -> None:
        """Create what is missing; several processes may do it at once.

        Args:
            metadata: the tables.
            prepare: writes the rows that must exist, in the same transaction.
        """
        if self._is_sqlite:
            await self._switch_to_write_ahead_log()

        def create(connection: Connection) -> None:
            metadata.create_all(connection)
            prepare(connection)

        await self.write(create)

    async def _switch_to_write_ahead_log(self) -> None:
        # Readers and the writer do not block each other then. The switch needs the file for
        # itself and does not wait for it: ask again while another process is at the same point.
        for attempt in range(WAL_ATTEMPTS):
            try:
                await self._in_thread(self._use_write_ahead_log)
            except (OperationalError, sqlite3.OperationalError) as error:
                if attempt == WAL_ATTEMPTS - 1 or "locked" not in str(error):
                    raise
                await asyncio.sleep(0.02)
            else:
                return

    def _use_write_ahead_log(self) -> None:
        with self._engine.connect() as connection:
            cursor = connection.connection.cursor()  # below SQLAlchemy: not in a transaction
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.close()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction that excludes other writers, and commit it.

        Raises:
            LedgerBusyError: the turn did not come in time; nothing was written.
        """
        return await self._to_its_end(work, writes=True)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on one consistent state of the database.

        Raises:
            LedgerBusyError: the database did not answer in time.
        """
        return await self._to_its_end(work, writes=False)

    async def _to_its_end(self, work: Callable[[Connection], T], *, writes: bool) -> T:
        task = asyncio.create_task(self._write(work) if writes else self._transact(work))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen, should nobody wait for it any more

    async def _write(self, work: Callable[[Connection], T]) -> T:
        async with self._turn:
            return await self._transact(work, writes=True)

    async def _transact(self, work: Callable[[Connection], T], *, writes: bool = False) -> T:
        def run() -> T:
            with self._engine.connect() as connection:
                connection.execution_options(**{WRITES: writes})
                with connection.begin():
                    return work(connection)

        try:
            return await self._in_thread(run)
        except OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                raise LedgerBusyError(f"the database stayed locked: {error.orig}") from error
            raise

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def close(self) -> None:
        """Finish what runs, then close every connection and end the threads."""
        while self._running:
            await asyncio.wait(self._running)
        await self._in_thread(self._engine.dispose)
        self._threads.shutdown()


def _configure_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    # A committed transaction survives the loss of power, not only of the process.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
