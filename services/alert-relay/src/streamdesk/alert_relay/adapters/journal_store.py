"""The journal in Redis: read by whoever gets the lease, written by its holder alone."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from pydantic import ValidationError

from streamdesk.alert_relay.domain.journal import AlertJournal
from streamdesk.alert_relay.errors import JournalLostError
from streamdesk.bus import BusUnavailableError, Keys
from streamdesk.runtime import logger

T = TypeVar("T")

log = logger("alert-relay")

JOURNAL = "alert-relay:book"
LEASE = "alert-relay:lease"
UNREADABLE = "alert-relay:book:unreadable"


class JournalStore:
    """One tenure's hand on the journal.

    Args:
        keys: of the bus.
        lease_seconds: life of the lease.
    """

    def __init__(self, keys: Keys, lease_seconds: float) -> None:
        self._keys = keys
        self.lease = keys.lease(LEASE, lease_seconds)
        self.journal = AlertJournal()
        self._known: bytes | None = None
        self._turn = asyncio.Lock()

    async def load(self) -> None:
        """Read the journal. One that cannot be read is put aside, and a new one begun.

        Raises:
            JournalLostError: Redis does not answer.
        """
        try:
            [self._known] = await self._keys.get(JOURNAL)
            self.journal = await self._read(self._known)
        except BusUnavailableError as error:
            raise JournalLostError(str(error)) from error

    async def change(self, act: Callable[[AlertJournal], T]) -> T:
        """Change the journal, and write it before anybody acts on the change.

        Raises:
            JournalLostError: it was not written, or that is unknown; `load` before the next change.
        """
        async with self._turn:
            result = act(self.journal)
            value = self.journal.model_dump_json().encode()
            try:
                written = await self.lease.put(JOURNAL, value, expected=self._known)
            except BusUnavailableError as error:
                raise JournalLostError(str(error)) from error
            if not written:
                raise JournalLostError("another replica is the sender now")
            self._known = value
            return result

    async def _read(self, value: bytes | None) -> AlertJournal:
        if value is None:
            return AlertJournal()
        try:
            return AlertJournal.model_validate_json(value)
        except ValidationError as error:
            why = str(error)
        log.error("the journal cannot be read: begun anew", kept_as=UNREADABLE, why=why)
        await self._keys.put({UNREADABLE: value})
        return AlertJournal()


async def look(keys: Keys) -> tuple[AlertJournal, bool]:
    """The journal as it is, for who only looks, and whether a sender is at work.

    Raises:
        BusUnavailableError: Redis does not answer.
    """
    value, holder = await keys.get(JOURNAL, LEASE)
    return (
        AlertJournal.model_validate_json(value) if value else AlertJournal()
    ), holder is not None
