"""The alert journal in Redis: any process reads it, the holder of the lease writes it."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from pydantic import ValidationError

from streamdesk.alert_relay.domain.journal import AlertJournal
from streamdesk.alert_relay.errors import JournalLostError
from streamdesk.bus import BusUnavailableError, Keys
from streamdesk.runtime import logger

T = TypeVar("T")

log = logger(__name__)

JOURNAL = "alert-relay:book"
LEASE = "alert-relay:lease"
UNREADABLE = "alert-relay:book:unreadable"


class JournalStore:
    """The journal of one tenure of the lease.

    Args:
        keys: of the bus.
        lease_seconds: lifetime of the lease.
    """

    def __init__(self, keys: Keys, lease_seconds: float) -> None:
        self._keys = keys
        self.lease = keys.lease(LEASE, lease_seconds)
        self.journal = AlertJournal()
        self._stored: bytes | None = None
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        """Read the journal. An unreadable one is set aside and replaced by an empty one.

        Raises:
            JournalLostError: Redis is unavailable.
        """
        try:
            [self._stored] = await self._keys.get(JOURNAL)
            self.journal = await self._read(self._stored)
        except BusUnavailableError as error:
            raise JournalLostError(str(error)) from error

    async def change(self, act: Callable[[AlertJournal], T]) -> T:
        """Change the journal and write it. Act on the change only after this returns.

        Raises:
            JournalLostError: it was not written, or that is unknown; `load` before the next change.
        """
        async with self._lock:
            result = act(self.journal)
            value = self.journal.model_dump_json().encode()
            try:
                written = await self.lease.put(JOURNAL, value, expected=self._stored)
            except BusUnavailableError as error:
                raise JournalLostError(str(error)) from error
            if not written:
                raise JournalLostError("another replica is the active sender")
            self._stored = value
            return result

    async def _read(self, value: bytes | None) -> AlertJournal:
        if value is None:
            return AlertJournal()
        try:
            return AlertJournal.model_validate_json(value)
        except ValidationError as error:
            why = str(error)
        log.error("journal unreadable, replaced by an empty one", kept_as=UNREADABLE, why=why)
        await self._keys.put({UNREADABLE: value})
        return AlertJournal()


async def read_journal(keys: Keys) -> tuple[AlertJournal, bool]:
    """The journal for a reader without the lease, and whether a sender is active.

    Raises:
        BusUnavailableError: Redis is unavailable.
    """
    value, holder = await keys.get(JOURNAL, LEASE)
    journal = AlertJournal.model_validate_json(value) if value else AlertJournal()
    return journal, holder is not None
