"""SQLite: a transaction runs in a thread, the whole of it at once.

A hop for each statement, as SQLAlchemy's asyncio driver for SQLite makes them, took three times as
long (41 ms against 13 ms from signal to booked order).
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from sqlalchemy import Connection, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from streamdesk.order_executor.adapters.database.engine import Mode
from streamdesk.order_executor.adapters.database.sqlite_file import SqliteFile
from streamdesk.order_executor.errors import DatabaseUnavailableError, DatabaseUnknownError

T = TypeVar("T")
WRITES = "streamdesk_writes"
THREADS = 3
"""One writes, the others read."""

WAL_ATTEMPTS = 50
LOOK_SECONDS = 0.001
"""How often a writer asks for the file while another process writes. SQLite's own pauses grow to
100 ms and leave the file idle: of eight writers of 4 ms each waited 122 ms, so each waits 37."""


class SqliteEngine:
    """Transactions on a file that several processes may share.

    Args:
        url: as in sqlite:///desk.db.
        busy_timeout_seconds: how long to wait for another process's transaction.
    """

    def __init__(self, url: str, busy_timeout_seconds: float) -> None:
        self._busy_timeout_seconds = busy_timeout_seconds
        arguments = {
            "isolation_level": None,  # sqlite3 begins nothing by itself, `_begin` does
            "timeout": busy_timeout_seconds,
            "check_same_thread": False,  # the pool lends a connection to one thread only
        }
        plain = make_url(url).set(drivername="sqlite+pysqlite")
        self._engine = create_engine(plain, connect_args=arguments, pool_size=THREADS)
        self._file = SqliteFile(plain.database or "")
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", self._begin)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="database")

    async def prepare(self) -> None:
        """Switch to the write-ahead log: readers and the writer do not block each other then."""
        # The switch needs the file for itself and does not wait for it: ask again while another
        # process is at the same point.
        for attempt in range(WAL_ATTEMPTS):
            try:
                await self._in_thread(self._use_write_ahead_log)
            except (DBAPIError, sqlite3.Error) as error:
                if attempt == WAL_ATTEMPTS - 1 or "locked" not in str(error):
                    self._raise_meaning(error)
                    raise
                await asyncio.sleep(0.02)
            else:
                return

    def _use_write_ahead_log(self) -> None:
        with self._engine.connect() as connection:
            cursor = connection.connection.cursor()  # below SQLAlchemy: not in a transaction
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.close()
        self._file.opened()

    async def transact(self, work: Callable[[Connection], T], mode: Mode) -> T:
        """As in `Engine`; the lock of all writers is the file's."""

        def run() -> T:
            self._file.check()
            with self._engine.connect() as connection:
                connection.execution_options(**{WRITES: mode is not Mode.READ})
                with connection.begin():
                    result = work(connection)
            if mode is not Mode.READ:
                self._must_be_kept()
            return result

        try:
            return await self._in_thread(run)
        except (DBAPIError, sqlite3.Error) as error:
            self._raise_meaning(error)
            raise

    def _must_be_kept(self) -> None:
        """What was committed into a file that was deleted meanwhile is lost."""
        try:
            self._file.check()
        except DatabaseUnavailableError as error:
            raise DatabaseUnknownError(f"{error} (found after a commit)") from None

    def _raise_meaning(self, error: Exception) -> None:
        meaning = self._file.meaning_of(error.orig if isinstance(error, DBAPIError) else error)
        if meaning is not None:
            raise meaning from error

    def _begin(self, connection: Connection) -> None:
        if not connection.get_execution_options().get(WRITES, False):
            connection.exec_driver_sql("BEGIN")
            return
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - by the URL
        driver.execute("PRAGMA busy_timeout = 0")
        try:
            deadline = time.monotonic() + self._busy_timeout_seconds
            while _is_busy(driver) and time.monotonic() < deadline:
                time.sleep(LOOK_SECONDS)
            if not driver.in_transaction:
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # raises, as an error of SQLAlchemy
        finally:
            driver.execute(f"PRAGMA busy_timeout = {round(self._busy_timeout_seconds * 1000)}")

    async def _in_thread(self, call: Callable[[], T]) -> T:
        inside = copy_context()  # what is written knows the span it is part of
        return await asyncio.get_running_loop().run_in_executor(self._threads, inside.run, call)

    async def close(self) -> None:
        """Close every connection and end the threads."""
        await self._in_thread(self._engine.dispose)
        self._threads.shutdown()


def _configure(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    # A committed transaction survives the loss of power, not only of the process.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _is_busy(driver: sqlite3.Connection) -> bool:
    """Begin to write; whether another process writes, and asking again makes sense."""
    try:
        driver.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # the low byte: of any kind
    return False
