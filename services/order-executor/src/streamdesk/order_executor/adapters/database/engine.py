"""What a kind of database has to offer."""

from collections.abc import Callable
from enum import Enum
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from streamdesk.order_executor.errors import DatabaseError

T = TypeVar("T")


class Mode(Enum):
    """What a transaction is for.

    READ sees one state of the database. WRITE excludes every other WRITE of the same tables from
    its first statement on. SET_UP makes tables, and excludes every other SET_UP.
    """

    READ = "read"
    WRITE = "write"
    SET_UP = "set up"


class RestartError(Exception):
    """The transaction did nothing, through no fault of its own: run it again from its beginning.

    Args:
        otherwise: what to raise when that has been tried often enough.
    """

    def __init__(self, otherwise: DatabaseError) -> None:
        super().__init__(str(otherwise))
        self.otherwise = otherwise


class Engine(Protocol):
    """Runs one transaction once."""

    async def prepare(self) -> None:
        """What must be so before the first transaction."""

    async def transact(self, work: Callable[[Connection], T], mode: Mode) -> T:
        """Begin, run, commit; roll back when `work` raises.

        Raises:
            RestartError: nothing was done; it may be run again at once.
            DatabaseError: as its types say.
        """

    async def close(self) -> None:
        """Close every connection."""
