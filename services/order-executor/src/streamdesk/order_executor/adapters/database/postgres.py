"""PostgreSQL through asyncpg: a transaction runs in the event loop, and waits there for answers.

Writers come one after the other, by the lock on one row, and each statement sees what was committed
before it (READ COMMITTED); so there is nothing to serialise and, among executors, no deadlock. A
reader works on one snapshot (REPEATABLE READ, read only), beside the writer.
"""

import asyncio
import contextlib
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import Connection, Select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from streamdesk.order_executor.adapters.database.engine import Mode, RestartError
from streamdesk.order_executor.errors import (
    DatabaseBusyError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    DatabaseUnknownError,
)

T = TypeVar("T")
CONNECTIONS = 2
"""Of one executor to one set of tables: one writes, the other reads."""

SET_UP_LOCK = 7_305_223_118
"""Number of the advisory lock under which tables are made, the same in every version."""

OPTIONS: dict[Mode, dict[str, Any]] = {
    Mode.READ: {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
    Mode.WRITE: {"isolation_level": "READ COMMITTED"},
    Mode.SET_UP: {"isolation_level": "READ COMMITTED"},
}
# Codes of PostgreSQL's appendix A.
UNDONE = {"40001", "40P01"}  # serialization_failure, deadlock_detected
LOCKED = {"55P03", "57014"}  # lock_not_available, query_canceled (by a time limit of the server)
READ_ONLY = {"25006"}  # a server that follows another one, reached while the roles change
# too_many_connections, disk_full and the like, connection_*, *_shutdown and the like,
# idle_in_transaction_session_timeout
GONE = "53", "08", "57P", "25P03"


class _Phase(Enum):
    CONNECTING = auto()
    WORKING = auto()
    COMMITTING = auto()


class PostgresEngine:
    """Transactions on a server that several executors share.

    Args:
        url: as libpq has it, parameters included: sslmode, several hosts, target_session_attrs.
        turn: locks the row that a writer must have.
        busy_timeout_seconds: how long to wait for another executor's transaction.
        answer_timeout_seconds: how long the server may be silent beyond that; and after how long it
            ends the transaction of an executor that has fallen silent.
        longest_seconds: of one transaction; by default as long as both.
    """

    def __init__(
        self,
        url: str,
        turn: Select[Any],
        busy_timeout_seconds: float,
        answer_timeout_seconds: float,
        longest_seconds: float | None = None,
    ) -> None:
        self._dsn = "postgresql://" + url.partition("://")[2]
        self._turn = turn
        self._answer_seconds = answer_timeout_seconds
        self._longest_seconds = longest_seconds or busy_timeout_seconds + answer_timeout_seconds
        self._server_settings = {
            "application_name": "streamdesk order-executor",
            "lock_timeout": _milliseconds(busy_timeout_seconds),
            # A process that is stopped, or cut off, in the middle of a transaction holds the lock
            # that all others wait for.
            "idle_in_transaction_session_timeout": _milliseconds(answer_timeout_seconds),
            # The sessions of a machine that is gone end after a minute and a half.
            "tcp_keepalives_idle": "60",
            "tcp_keepalives_interval": "10",
            "tcp_keepalives_count": "3",
            "jit": "off",  # compiling takes longer than any query here
        }
        # asyncpg reads the URL itself: it knows libpq's parameters, SQLAlchemy's dialect does not.
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._connect,
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_timeout=busy_timeout_seconds,
        )

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            self._dsn, timeout=self._answer_seconds, server_settings=self._server_settings
        )

    async def prepare(self) -> None:
        """Nothing is needed."""

    async def transact(self, work: Callable[[Connection], T], mode: Mode) -> T:
        """As in `Engine`."""
        run = _Run(self._turn, mode)
        try:
            async with asyncio.timeout(self._longest_seconds), self._engine.connect() as connection:
                return await run.on(connection, work)
        except (DBAPIError, PoolTimeoutError, asyncpg.PostgresError) as error:
            meaning = run.meaning_of(error)
            if meaning is None:
                raise
            raise meaning from error
        except TimeoutError as error:
            why = f"the database did not answer within {self._longest_seconds:g} s"
            raise run.lost(why, may_restart=False) from error
        except asyncpg.ClientConfigurationError as error:
            raise DatabaseRefusedError(f"the database's URL cannot be used: {error}") from error
        except (OSError, asyncpg.InterfaceError) as error:
            raise run.lost(f"the database cannot be reached: {error}") from error

    async def close(self) -> None:
        """Close every connection; one whose server is silent is abandoned."""
        with contextlib.suppress(OSError, DBAPIError, asyncpg.PostgresError):
            async with asyncio.timeout(self._answer_seconds):
                await self._engine.dispose()


class _Run:
    """One transaction and its progress."""

    def __init__(self, turn: Select[Any], mode: Mode) -> None:
        self._turn = turn
        self._mode = mode
        self._phase = _Phase.CONNECTING

    async def on(self, connection: AsyncConnection, work: Callable[[Connection], T]) -> T:
        """Begin, run, commit."""
        self._phase = _Phase.WORKING
        await connection.execution_options(**OPTIONS[self._mode])
        try:
            async with connection.begin() as transaction:
                result = await connection.run_sync(self._locked(work))
                self._phase = _Phase.COMMITTING
                await transaction.commit()
        except DBAPIError as error:
            if _code(error) in READ_ONLY:
                await connection.invalidate()  # the next one may reach the server that writes
            raise
        return result

    def _locked(self, work: Callable[[Connection], T]) -> Callable[[Connection], T]:
        def run(connection: Connection) -> T:
            if self._mode is Mode.WRITE:
                connection.execute(self._turn)
            elif self._mode is Mode.SET_UP:
                lock = text("SELECT pg_advisory_xact_lock(:number)")
                connection.execute(lock, {"number": SET_UP_LOCK})
            return work(connection)

        return run

    def meaning_of(self, error: Exception) -> Exception | None:
        """What an error is for the caller; None for one that is the statement's own fault."""
        code = _code(error)
        if isinstance(error, PoolTimeoutError) or code in LOCKED:
            return DatabaseBusyError(f"the database stayed locked: {_words(error)}")
        if code in UNDONE or _is_outdated_plan(error):
            return RestartError(DatabaseBusyError(f"undone {_words(error)}"))
        is_invalid = isinstance(error, DBAPIError) and error.connection_invalidated
        if is_invalid or code in READ_ONLY or code.startswith(GONE):
            return self.lost(f"the database was lost: {_words(error)}")
        if self._phase is _Phase.CONNECTING:
            return DatabaseRefusedError(f"the database refuses: {_words(error)}")
        return None

    def lost(self, why: str, *, may_restart: bool = True) -> Exception:
        """What the loss of the connection is for the caller."""
        if self._phase is _Phase.COMMITTING and self._mode is not Mode.READ:
            return DatabaseUnknownError(f"{why}, while it committed")
        unavailable = DatabaseUnavailableError(why)
        if self._phase is _Phase.CONNECTING or not may_restart:
            return unavailable
        # A connection that lay idle says only now that its server was restarted meanwhile.
        return RestartError(unavailable)


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))


def _code(error: Exception) -> str:
    origin = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(origin, "sqlstate", None) or "")


def _words(error: Exception) -> str:
    origin = error.orig if isinstance(error, DBAPIError) else error
    cause = getattr(origin, "__cause__", None)
    return str(cause or origin)


def _is_outdated_plan(error: Exception) -> bool:
    """Whether the tables were changed since the statement was prepared; it is prepared anew."""
    origin = error.orig if isinstance(error, DBAPIError) else None
    return isinstance(getattr(origin, "__cause__", None), asyncpg.InvalidCachedStatementError)
