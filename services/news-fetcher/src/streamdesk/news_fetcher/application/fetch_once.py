"""One round now, by the same parts as on a schedule, unless another fetcher is active."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime

from streamdesk.bus import Bus, BusError
from streamdesk.news_fetcher.adapters.news_source import NewsSource
from streamdesk.news_fetcher.adapters.notices import Notices
from streamdesk.news_fetcher.adapters.redis_state import StateKeeper
from streamdesk.news_fetcher.application.fetch_round import FetchRounds
from streamdesk.news_fetcher.domain.round_result import RoundResult
from streamdesk.news_fetcher.errors import KeyRefusedError
from streamdesk.runtime import Drain

RENEWALS_A_LEASE = 4

ANOTHER = "another fetcher is active: it fetches on its schedule; stop it to fetch now"
NO_SERVER = "redis does not answer; nothing was asked"


@dataclass(frozen=True, slots=True)
class FetchParts:
    """What both ways to fetch are made of: on a schedule, and once from the command line.

    Attributes:
        bus: connected, closed with the parts.
        source: the source as set, closed with the parts.
        keeper: its state and lease.
        rounds: what is done when a round is due.
        notices: reports what came of a round.
        tickers: what is asked about.
        key: fingerprint of the source's key; None where it needs none.
        clock: the current time.
    """

    bus: Bus
    source: NewsSource
    keeper: StateKeeper
    rounds: FetchRounds
    notices: Notices
    tickers: tuple[str, ...]
    key: str | None
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class OnceResult:
    """What came of one round outside of the schedule.

    Attributes:
        round: its counts and failures.
        calls: what it cost of the quota; 0 where nothing is counted.
        calls_left: what is left of the quota; None where nothing is counted.
    """

    round: RoundResult
    calls: int
    calls_left: int | None


async def fetch_once(parts: FetchParts, lease_seconds: float) -> OnceResult:
    """Do a round now; a key that was refused before is tried again.

    Args:
        parts: opened, and closed, by the caller.
        lease_seconds: life of the lease, which is renewed during the round.
    """
    if not await parts.keeper.lead():
        why = ANOTHER if parts.bus.connected else NO_SERVER
        return _once(parts, RoundResult(broken=why), calls=0)
    async with _lease_renewed(parts.keeper, lease_seconds):
        kept, quota = parts.keeper.state.quota, parts.source.quota
        if quota is not None and kept is not None:
            with contextlib.suppress(ValueError):  # unreadable: counted anew
                quota.restore(kept)
        before = 0 if quota is None else quota.used
        result = await parts.rounds.round(Drain())
        await _remember_the_key(parts, result)
        return _once(parts, result, calls=0 if quota is None else max(0, quota.used - before))


def _once(parts: FetchParts, result: RoundResult, *, calls: int) -> OnceResult:
    quota = parts.source.quota
    return OnceResult(result, calls, None if quota is None else quota.left(parts.clock()))


@contextlib.asynccontextmanager
async def _lease_renewed(keeper: StateKeeper, lease_seconds: float) -> AsyncIterator[None]:
    """Renew the lease inside the block; release it at its end."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(lease_seconds / RENEWALS_A_LEASE)
            await keeper.lead()

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.wait({renewing})
        await keeper.leave()


async def _remember_the_key(parts: FetchParts, result: RoundResult) -> None:
    """A key that is accepted again is one that the service asks with again, too."""
    refused = isinstance(result.stop, KeyRefusedError)
    if parts.key is None or result.broken or (result.failed and not refused):
        return
    key = parts.key if refused else None
    try:
        await parts.keeper.write(lambda state: state.with_refused_key(key))
    except BusError as error:
        result.broken = str(error)
