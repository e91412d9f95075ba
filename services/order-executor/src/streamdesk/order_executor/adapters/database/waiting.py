"""A start that waits for its databases."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

from streamdesk.order_executor.errors import DatabaseError, DatabaseRefusedError
from streamdesk.runtime import BadSettingError, logger

log = logger(__name__)
FIRST_PAUSE_SECONDS = 0.25
LONGER_PAUSES = 4
"""Pauses get longer up to this one, of four seconds."""


async def open_when_available(variable: str, opened: Callable[[], Awaitable[None]]) -> None:
    """Open tables as soon as their database is available.

    Args:
        variable: the setting that names it.
        opened: opens them.

    Raises:
        BadSettingError: it cannot be used at all.
    """
    for attempt in itertools.count():
        try:
            await opened()
        except DatabaseRefusedError as error:
            expected = f"a database that this version can work with: {error}"
            raise BadSettingError(variable, "(hidden)", expected) from error
        except DatabaseError as error:
            if attempt == 0:
                log.warning("waiting for the database", setting=variable, error=str(error))
        else:
            return
        await asyncio.sleep(FIRST_PAUSE_SECONDS * 2 ** min(attempt, LONGER_PAUSES))
