"""What can befall a SQLite file, and what to do about it."""

import os
import sqlite3
from pathlib import Path

from streamdesk.order_executor.errors import (
    DatabaseBusyError,
    DatabaseError,
    DatabaseUnavailableError,
)

ADVICE = {
    sqlite3.SQLITE_FULL: "the disk is full: make room on it",
    sqlite3.SQLITE_IOERR: "the disk cannot be read or written: look at its space and its health",
    sqlite3.SQLITE_READONLY: "it cannot be written: give this user the right to write the file and "
    "its folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: look whether its folder is there and this user "
    "may write it",
    sqlite3.SQLITE_PERM: "this user may not use it: give it the right to write",
}
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class SqliteFile:
    """One file, from the first time that it is opened: what takes its place is another one.

    Args:
        path: where it is.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._seen: tuple[int, int] | None = None
        self._damage = ""

    def opened(self) -> None:
        """Remember which file it is; from now on no other one is accepted."""
        found = self._path.stat()
        self._seen = found.st_dev, found.st_ino

    def check(self) -> None:
        """Look whether it is the same file still, and sound.

        Raises:
            DatabaseUnavailableError: it is not; the words say what to do.
        """
        if self._damage:
            raise DatabaseUnavailableError(self._damage)
        if self._seen is None:
            return
        try:
            found = os.stat(self._path)  # noqa: PTH116 - before and after each transaction
        except FileNotFoundError:
            raise DatabaseUnavailableError(
                f"the file {self._path} is gone: put it back where it was; a new one would begin "
                "with an empty account"
            ) from None
        except OSError as error:
            raise DatabaseUnavailableError(f"{self._path} cannot be looked at: {error}") from None
        if (found.st_dev, found.st_ino) != self._seen:
            raise DatabaseUnavailableError(
                f"another file is at {self._path} than this process began with: if it is the "
                "right one, restart the process"
            )

    def meaning_of(self, error: BaseException | None) -> DatabaseError | None:
        """What an error of the driver is for the caller; None for a statement's own fault."""
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:
            return None
        kind = code & 0xFF  # the low byte: of any kind
        if kind in LOCKED:
            return DatabaseBusyError(
                f"the database stayed locked: {error}; end the process that holds {self._path}"
            )
        if kind in DAMAGED:
            # What was read of it is not to be trusted, even where a page reads well again.
            self._damage = (
                f"{self._path} is damaged ({error}): stop the executors, put a backup in its place "
                "and start them again"
            )
            return DatabaseUnavailableError(self._damage)
        if kind in ADVICE:
            return DatabaseUnavailableError(f"{self._path}: {ADVICE[kind]} ({error})")
        return None
