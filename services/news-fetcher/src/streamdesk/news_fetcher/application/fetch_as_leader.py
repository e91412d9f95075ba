"""Fetches when a round is due, as the only one of several replicas, within the source's quota."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from streamdesk.bus import BusError, BusUnavailableError
from streamdesk.news_fetcher.adapters.metrics import show_state
from streamdesk.news_fetcher.adapters.news_source import NewsSource
from streamdesk.news_fetcher.adapters.notices import Notices
from streamdesk.news_fetcher.adapters.redis_state import StateKeeper
from streamdesk.news_fetcher.adapters.round_timer import RoundTimer
from streamdesk.news_fetcher.application.fetch_round import FetchRounds
from streamdesk.news_fetcher.domain.quota import Quota, cost, pause_seconds
from streamdesk.news_fetcher.domain.round_result import RoundResult
from streamdesk.news_fetcher.errors import KeyRefusedError, SourceError
from streamdesk.runtime import Drain, logger, metrics

log = logger(__name__)

LEARN_EVERY = timedelta(hours=1)
"""How often the source is asked for its count of calls while ours says that none is left."""

BROKEN_SECONDS = 2.5
"""Half of the pause after a first round that broke off; it doubles with each one in a row."""


class NewsFetcher:
    """One of the replicas that share a source: it fetches while it holds the lease.

    Args:
        source: where articles come from.
        tickers: how many it is asked about in a round.
        rounds: what is done when one is due.
        keeper: the state and the lease.
        notices: reports what came of a round.
        timer: wakes when a round is due; started and stopped with the fetcher.
        interval_seconds: from the start of a round to that of the next, at least.
        finish_seconds: how long a round under way may take after the drain is requested.
        key: fingerprint of the source's key; None where it needs none.
        clock: the current time.
    """

    def __init__(
        self,
        *,
        source: NewsSource,
        tickers: int,
        rounds: FetchRounds,
        keeper: StateKeeper,
        notices: Notices,
        timer: RoundTimer,
        interval_seconds: float,
        finish_seconds: float,
        key: str | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._source = source
        self._cost = cost(1) * tickers
        self._rounds = rounds
        self._keeper = keeper
        self._notices = notices
        self._interval_seconds = interval_seconds
        self._finish_seconds = finish_seconds
        self._key = key
        self._clock = clock
        self._timer = timer
        self._wake: Callable[[], None] = lambda: None
        self._due = False
        self._work: asyncio.Task[RoundResult | None] | None = None
        self._tenure = 0
        self._spent = 0
        self._broken = 0
        self._learn_at = clock()
        self._refused: SourceError | None = None

    def check_key(self) -> bool:
        """Whether the source accepts the key, for the readiness probe.

        Raises:
            KeyRefusedError: it does not, so nothing is fetched.
        """
        if self._refused is not None:
            raise self._refused
        return True

    def start(self, wake: Callable[[], None]) -> None:
        """Start the timer, inside a running loop.

        Args:
            wake: called when `tick` has something to do: a round is due, or has ended.
        """
        self._wake = wake
        self._timer.start(self._strike)

    async def stop(self) -> None:
        """Let the round under way end, or else leave its rest to another; release the lease."""
        self._timer.stop()
        work = self._work
        if work is not None:
            await asyncio.wait({work}, timeout=self._finish_seconds)
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
        await self._keeper.leave()
        show_state(self._source, leading=False, now=self._clock())

    def _strike(self) -> None:
        self._due = True
        self._wake()

    async def tick(self, drain: Drain) -> None:
        """Renew the lease, settle a round that has ended, begin one that is due.

        Args:
            drain: ends a round early when it is requested.
        """
        if jump_seconds := self._timer.resync():
            log.warning("clock jumped", seconds=round(jump_seconds, 1))
        leading = await self._lead()
        show_state(self._source, leading=leading, now=self._clock())
        if self._work is not None:
            if not self._work.done():
                return
            await self._settle(self._work)
        if leading and self._due and self._refused is None:
            self._due = False
            self._work = asyncio.create_task(self._turn(drain), name="news round")
            self._work.add_done_callback(lambda _: self._wake())

    async def _lead(self) -> bool:
        if self._refused is not None and self._work is None and not await self._allowed_again():
            return False
        leading = await self._keeper.lead()
        if leading and self._tenure != self._keeper.tenure:
            self._tenure = self._keeper.tenure
            await self._take_over()
        elif not leading and self._tenure:
            self._tenure, self._due = 0, False
            self._timer.cancel()
            log.warning("not fetching: another replica does, or redis is unreachable")
        return leading and self._refused is None

    async def _take_over(self) -> None:
        """Continue where the last leader was: its cursors, quota and time of the last round."""
        state, quota = self._keeper.state, self._source.quota
        if quota is not None and state.quota is not None:
            try:
                quota.restore(state.quota)
            except ValueError as error:
                log.warning("quota unreadable, counted anew", error=str(error))
        if self._key is not None and state.refused_key == self._key:
            why = "the source refused this key before: restart with another one, or repair the "
            why += "account and run `python -m streamdesk.news_fetcher fetch`"
            log.error("key refused, nothing is asked", source=self._source.name, why=why)
            await self._give_up(KeyRefusedError(why))
            return
        pause = self._pause_seconds()
        due_at = state.due_at(pause)
        if due_at is not None:
            # Its clock may have been ahead of ours: never wait for longer than one pause.
            due_at = min(due_at, self._clock() + timedelta(seconds=pause))
        self._plan(due_at)
        due = "now" if self._due else self._timer.next_at
        log.info("fetching", source=self._source.name, tenure=self._tenure, next_round=str(due))

    async def _give_up(self, error: SourceError) -> None:
        """Stop asking with this key; release the lease to a replica that may have another key."""
        self._refused, self._due, self._tenure = error, False, 0
        self._timer.cancel()
        await self._keeper.leave()

    async def _allowed_again(self) -> bool:
        """Whether a fetch succeeded, with any key, since ours was refused."""
        try:
            state = await self._keeper.read()
        except BusUnavailableError:
            return False
        if state.refused_key is not None:
            return False
        self._refused = None
        return True

    async def _turn(self, drain: Drain) -> RoundResult | None:
        """Do one round and report it; none while the quota is used up."""
        now, quota = self._clock(), self._source.quota
        if quota is None:
            return await self._reported(await self._rounds.round(drain))
        if quota.exhausted_until(now) is not None and not _refused(quota, now):
            # By our own count, which may be wrong: ask for the source's. Only here, as a round
            # asks for it by itself.
            await self._source.learn_quota()
            self._learn_at = now + LEARN_EVERY
        if quota.exhausted_until(now) is not None:
            return await self._reported(None)
        used = quota.used
        result = await self._rounds.round(drain)
        self._spent = max(0, quota.used - used)
        return await self._reported(result)

    async def _reported(self, result: RoundResult | None) -> RoundResult | None:
        """Report and remember what came of a round."""
        if result is not None:
            self._notices.round_done(result)
            if not result.over and (result.fetched or not result.failed):
                metrics.NEWS_LAST_ROUND.labels(self._source.name).set(self._clock().timestamp())
        try:
            if result is not None:
                await self._report_key(result)
            await self._report_quota()
        except BusError as error:
            log.warning("round not reported in full", source=self._source.name, why=str(error))
        return result

    async def _report_key(self, result: RoundResult) -> None:
        if isinstance(result.stop, KeyRefusedError):
            self._refused = result.stop
            await self._notices.key_refused(str(result.stop))
            await self._keeper.write(lambda state: state.with_refused_key(self._key))
        elif not result.over and not result.failed:
            await self._keeper.write(lambda state: state.with_refused_key(None))

    async def _report_quota(self) -> None:
        """Report a used up quota once until there are calls again, also over restarts."""
        quota, now = self._source.quota, self._clock()
        until = None if quota is None else quota.exhausted_until(now)
        reported_until = self._keeper.state.told_exhausted
        if quota is None or until is None:
            return
        if reported_until is not None and reported_until > now:
            return
        await self._notices.quota_exhausted(str(quota.error(now)), until)
        await self._keeper.write(
            lambda state: state.with_quota(quota.as_json()).with_told_exhausted(until)
        )

    async def _settle(self, work: asyncio.Task[RoundResult | None]) -> None:
        """Plan the next round by how the last one went."""
        self._work, self._due = None, False
        result, now = work.result(), self._clock()
        if self._refused is not None:
            await self._give_up(self._refused)
        elif result is not None and result.broken:
            self._broken += 1
            pause = min(self._pause_seconds(), BROKEN_SECONDS * 2.0**self._broken)
            self._plan(now + timedelta(seconds=pause))
        else:
            self._broken = 0
            wait = 0.0 if result is None else result.wait_seconds
            self._keep_pace(max(self._pause_seconds(), wait))

    def _pause_seconds(self) -> float:
        """From the begin of a round to that of the next, so that the quota lasts the day."""
        quota, interval = self._source.quota, self._interval_seconds
        if quota is None:
            return interval
        return pause_seconds(interval, max(self._cost, self._spent), quota, self._clock())

    def _keep_pace(self, pause: float) -> None:
        """Leave the timer as it is, unless the pause has changed."""
        exhausted = self._source.quota and self._source.quota.exhausted_until(self._clock())
        if exhausted or pause != self._timer.interval_seconds:
            begun_at = self._keeper.state.begun_at or self._clock()
            self._plan(begun_at + timedelta(seconds=pause), pause)

    def _plan(self, first_at: datetime | None, pause: float | None = None) -> None:
        """Plan the next round, but not for a time at which the quota is used up."""
        quota, now = self._source.quota, self._clock()
        until = None if quota is None else quota.exhausted_until(now)
        if quota is not None and until is not None:
            # Our own count may be wrong, so the source is asked for its count meanwhile; not where
            # the source itself refused: then its word holds until the time that it implies.
            first_at = until if _refused(quota, now) else min(until, max(now, self._learn_at))
        self._timer.plan(first_at, pause or self._pause_seconds())


def _refused(quota: Quota, now: datetime) -> bool:
    """Whether the source itself reported that nothing is left; then its count is not asked for."""
    return quota.refused_until is not None and quota.refused_until > now
