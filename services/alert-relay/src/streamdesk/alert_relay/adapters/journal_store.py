"""The book in Redis: read by whoever gets the lease, written by its holder alone."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from pydantic import ValidationError

from streamdesk.alert_relay.domain.journal import Book
from streamdesk.alert_relay.errors import BookLostError
from streamdesk.bus import BusUnavailableError, Keys
from streamdesk.runtime import logger

T = TypeVar("T")

log = logger("alert-relay")

BOOK = "alert-relay:book"
LEASE = "alert-relay:lease"
UNREADABLE = "alert-relay:book:unreadable"


class BookKeeper:
    """One tenure's hand on the book.

    Args:
        keys: of the bus.
        lease_seconds: life of the lease.
    """

    def __init__(self, keys: Keys, lease_seconds: float) -> None:
        self._keys = keys
        self.lease = keys.lease(LEASE, lease_seconds)
        self.book = Book()
        self._known: bytes | None = None
        self._turn = asyncio.Lock()

    async def load(self) -> None:
        """Read the book. One that cannot be read is put aside, and a new one begun.

        Raises:
            BookLostError: Redis does not answer.
        """
        try:
            [self._known] = await self._keys.get(BOOK)
            self.book = await self._read(self._known)
        except BusUnavailableError as error:
            raise BookLostError(str(error)) from error

    async def change(self, act: Callable[[Book], T]) -> T:
        """Change the book, and write it before anybody acts on the change.

        Raises:
            BookLostError: it was not written, or that is not known; `load` before the next change.
        """
        async with self._turn:
            result = act(self.book)
            value = self.book.model_dump_json().encode()
            try:
                written = await self.lease.put(BOOK, value, expected=self._known)
            except BusUnavailableError as error:
                raise BookLostError(str(error)) from error
            if not written:
                raise BookLostError("another replica is the sender now")
            self._known = value
            return result

    async def _read(self, value: bytes | None) -> Book:
        if value is None:
            return Book()
        try:
            return Book.model_validate_json(value)
        except ValidationError as error:
            why = str(error)
        log.error("the book cannot be read: begun anew", kept_as=UNREADABLE, why=why)
        await self._keys.put({UNREADABLE: value})
        return Book()


async def look(keys: Keys) -> tuple[Book, bool]:
    """The book as it is, for who only looks, and whether a sender is at work.

    Raises:
        BusUnavailableError: Redis does not answer.
    """
    value, holder = await keys.get(BOOK, LEASE)
    return (Book.model_validate_json(value) if value else Book()), holder is not None
