"""SQLite for those who only look: no file is made or changed, and none is left beside it.

A file that executors have open is read beside them, on one state of it. SQLite would make its
write-ahead log (`-wal`, `-shm`) for a reader of a file that nobody has open, and leave it there; so
such a file is read as one that does not change, and if it did, it is read again.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, NullPool, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError

from streamdesk.order_executor.adapters.database.engine import Mode, RestartError
from streamdesk.order_executor.errors import (
    DatabaseBusyError,
    DatabaseDamagedError,
    DatabaseError,
    DatabaseUnavailableError,
)

T = TypeVar("T")
BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class ReadOnlySqliteEngine:
    """Reads a file that several processes may share and write.

    Args:
        url: as in sqlite:///desk.db.
        busy_timeout_seconds: how long to wait while another process keeps readers out.
    """

    def __init__(self, url: str, busy_timeout_seconds: float) -> None:
        self._file = Path(make_url(url).database or "").absolute()
        self._busy_timeout_seconds = busy_timeout_seconds

    async def prepare(self) -> None:
        """Nothing is needed."""

    async def transact(self, work: Callable[[Connection], T], mode: Mode) -> T:
        """As in `Engine`; for a READ alone."""
        assert mode is Mode.READ, "a file that is only read"  # noqa: S101 - by construction
        run = copy_context().run
        return await asyncio.get_running_loop().run_in_executor(None, run, self._read, work)

    def _read(self, work: Callable[[Connection], T]) -> T:
        if not self._file.exists():
            raise DatabaseUnavailableError(f"there is no file {self._file}")
        before = self._idle_state()
        try:
            result = self._read_once(work, is_idle=before is not None)
        except DBAPIError as error:
            if before is not None and before != self._idle_state():
                raise self._changed() from error
            raise self._meaning_of(error.orig) from error
        except sqlite3.Error as error:
            raise self._meaning_of(error) from error
        if before is not None and before != self._idle_state():
            raise self._changed()
        return result

    def _idle_state(self) -> tuple[int, int, int] | None:
        """What changes with the file while nobody has it open; None while somebody may have."""
        if any(self._beside(end).exists() for end in ("-wal", "-journal")):
            return None
        found = self._file.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _beside(self, end: str) -> Path:
        return self._file.with_name(self._file.name + end)

    def _changed(self) -> RestartError:
        why = f"{self._file} was opened by an executor again and again while it was read"
        return RestartError(DatabaseBusyError(why))

    def _read_once(self, work: Callable[[Connection], T], *, is_idle: bool) -> T:
        engine = create_engine(
            "sqlite+pysqlite://", creator=lambda: self._connect(is_idle=is_idle), poolclass=NullPool
        )
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        with engine.connect() as connection, connection.begin():
            return work(connection)

    def _connect(self, *, is_idle: bool) -> sqlite3.Connection:
        options = "mode=ro&immutable=1" if is_idle else "mode=ro"
        return sqlite3.connect(
            f"file:{quote(str(self._file))}?{options}",
            uri=True,
            isolation_level=None,
            timeout=self._busy_timeout_seconds,
        )

    def _meaning_of(self, error: BaseException | None) -> DatabaseError:
        code = getattr(error, "sqlite_errorcode", None)
        code = code & 0xFF if isinstance(code, int) else None  # the low byte: of any kind
        if code in BUSY:
            return DatabaseBusyError(f"{self._file} stayed locked by another process: {error}")
        if code in DAMAGED:
            return DatabaseDamagedError(f"{self._file} is damaged: {error}")
        return DatabaseUnavailableError(f"{self._file} cannot be read: {error}")

    async def close(self) -> None:
        """Nothing is open between two transactions."""
