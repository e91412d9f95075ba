"""One round: ask the source about every ticker, keep what is usable and new, publish it.

Exactly once comes from three steps in this order, for each ticker:

1. publish, under an event id that follows from the article's link: the server writes such an id
   once within seven days, whoever publishes it and however often;
2. only then move the ticker's cursor forward, in the state in Redis;
3. only then remember the links in this process, which spares the server the repeats.

A process that dies anywhere between leaves a cursor that is too old, never one that is too new:
what is asked for again is not written again, and nothing is left out.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from streamdesk.bus import BusError
from streamdesk.contracts.events import NewsFetched
from streamdesk.news_fetcher.adapters.news_source import NewsQuery, NewsSource
from streamdesk.news_fetcher.adapters.redis_state import StateKeeper
from streamdesk.news_fetcher.domain.articles import FetchLimits, RawArticle, accept, event_id
from streamdesk.news_fetcher.domain.fetcher_state import EVERYTHING, FetcherState, entry_order
from streamdesk.news_fetcher.domain.links import SeenWindow
from streamdesk.news_fetcher.domain.round_result import RoundResult
from streamdesk.news_fetcher.errors import (
    ArticleError,
    KeyRefusedError,
    NewsSourceUnavailableError,
    QuotaExhaustedError,
    SourceError,
)
from streamdesk.runtime import Drain, logger, metrics

log = logger(__name__)

Publish = Callable[[Sequence[NewsFetched], Sequence[str]], Awaitable[Sequence[str]]]
"""Writes events under the given ids; returns the entries that they have now, or had before."""

CHUNK = 500
"""Articles that are checked and published before other tasks of the event loop run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How much a round asks for.

    Attributes:
        lookback: how old news is asked for at most.
        overlap: how far a round reaches back before the newest article so far, for late news.
        concurrency: tickers that are asked about concurrently.
        answer_seconds: longest time for the whole answer about a ticker, over all its pages.
    """

    lookback: timedelta
    overlap: timedelta
    concurrency: int
    answer_seconds: float = 600.0


class FetchRounds:
    """Asks one source, round after round; no failure of the source ends it.

    Args:
        source: where articles come from.
        tickers: what a source that is asked by ticker is asked about.
        publish: writes events to the bus.
        keeper: the cursors of the tickers; must lead.
        seen: links of articles that are published already.
        limits: bounds for articles.
        reach: what to ask for.
        clock: the current time.
        on_published: called with every article that is new in the topic.
    """

    def __init__(
        self,
        *,
        source: NewsSource,
        tickers: Sequence[str],
        publish: Publish,
        keeper: StateKeeper,
        seen: SeenWindow,
        limits: FetchLimits,
        reach: Reach,
        clock: Callable[[], datetime],
        on_published: Callable[[NewsFetched], None] = lambda _article: None,
    ) -> None:
        self._source = source
        self._tickers: Sequence[str | None] = tickers if source.by_ticker else [None]
        self._publish = publish
        self._keeper = keeper
        self._seen = seen
        self._limits = limits
        self._reach = reach
        self._clock = clock
        self._on_published = on_published
        self._entries: set[str] = set()
        self._before = ""

    async def round(self, drain: Drain) -> RoundResult:
        """Do one round.

        Between two tickers it ends early when the drain is requested, or the lease is lost.

        Raises:
            Exception: a bug of ours; the state is as the last whole ticker left it.
        """
        result, now = RoundResult(), self._clock()
        try:
            begun = {"begun_at": now, "ended": False}
            state = await self._keeper.write(lambda state: state.model_copy(update=begun))
            self._before = max(self._before, *self._entries, state.last_entry, key=entry_order)
            self._entries.clear()
            await self._ask_all(deque(self._tickers), result, drain)
            if not result.broken:
                # Not at its end where it was stopped: with another key it is due at once.
                await self._keeper.write(self._spent if result.stop else self._ended)
        except BusError as error:
            result.broken = result.broken or str(error)
        return result

    async def _ask_all(self, tickers: deque[str | None], result: RoundResult, drain: Drain) -> None:
        async def ask_on() -> None:
            while tickers and not result.over:
                if drain.requested.is_set():
                    result.broken = "the process is stopping"
                elif not self._keeper.leading:
                    result.broken = "the lease is not ours any more"
                else:
                    await self._one(tickers.popleft(), result)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._reach.concurrency, len(tickers))):
                group.create_task(ask_on())

    async def _one(self, ticker: str | None, result: RoundResult) -> None:
        """Ask about a ticker, publish, move its cursor; a failure of the bus ends the round."""
        try:
            articles = await self._ask(ticker, result)
            if articles is not None:
                await self._take(ticker, articles, result)
        except BusError as error:
            result.broken = result.broken or str(error)

    async def _ask(self, ticker: str | None, result: RoundResult) -> Sequence[RawArticle] | None:
        """All articles about a ticker; None where it failed, with the failure in `result`."""
        now, reach = self._clock(), self._reach
        name = ticker or EVERYTHING
        since = self._keeper.state.since(name, now, reach.lookback, reach.overlap)
        query = NewsQuery(ticker=ticker, since=since, until=now)
        try:
            async with asyncio.timeout(reach.answer_seconds):
                return await self._source.fetch(query)
        except BusError:
            # Not a failure of the source: a recording keeps its position in the state.
            raise
        except SourceError as error:
            self._failed(name, error, error.reason, result)
            # No other ticker can fare better, and each attempt would cost calls: end the round.
            if isinstance(error, (QuotaExhaustedError, KeyRefusedError)):
                result.stop = error
        except TimeoutError:
            # The time-out of a request bounds one page alone; this one bounds all pages together.
            late = NewsSourceUnavailableError(f"no whole answer in {reach.answer_seconds:g} s")
            self._count_failure(late.reason)
            self._failed(name, late, late.reason, result)
        except Exception as error:  # noqa: BLE001 - an answer that breaks a source must not end the service
            self._count_failure("unexpected")
            self._failed(name, error, "unexpected", result)
        return None

    def _failed(self, name: str, error: Exception, reason: str, result: RoundResult) -> None:
        result.failed[name] = reason
        result.error = result.error or error

    def _count_failure(self, reason: str) -> None:
        """Count a failure that the source itself cannot have counted."""
        metrics.NEWS_FETCH_FAILURE.labels(self._source.name, reason).inc()

    async def _take(
        self, ticker: str | None, articles: Sequence[RawArticle], result: RoundResult
    ) -> None:
        """Publish what is usable and new, then move the cursor, then remember the links."""
        result.fetched += len(articles)
        metrics.NEWS_FETCHED.labels(self._source.name).inc(len(articles))
        fetched_at = self._clock()
        newest: datetime | None = None
        taken: dict[str, str] = {}
        for chunk in _chunks(articles):
            usable = [self._usable(raw, ticker, fetched_at, result) for raw in chunk]
            events = [event for event in usable if event is not None]
            dates = [event.published_at for event in events]
            # Of repeats, too: the cursor has to pass what is published already.
            newest = max(dates if newest is None else [newest, *dates], default=None)
            # Spares the server what this process published before, or earlier in this answer.
            fresh: dict[str, NewsFetched] = {}
            for event in events:
                if event.link_hash not in taken and not self._seen.seen(event.link_hash):
                    fresh.setdefault(event.link_hash, event)
            entries = await self._send(ticker, list(fresh.values()), result)
            self._duplicate(len(events) - len(fresh), result)
            taken |= dict(zip(fresh, entries, strict=True))
        await self._advance(ticker or EVERYTHING, newest, list(taken.values()), fetched_at)
        # Last: if the cursor did not move, the server is to see them again, and drops repeats.
        for name in taken:
            self._seen.remember(name)

    def _usable(
        self, raw: RawArticle, ticker: str | None, fetched_at: datetime, result: RoundResult
    ) -> NewsFetched | None:
        """The article as an event; None, and counted, for one that cannot be used."""
        source = self._source.name
        try:
            return accept(
                raw, source=source, fetched_at=fetched_at, limits=self._limits, ticker=ticker
            )
        except ArticleError as error:
            result.rejected[error.reason] += 1
            metrics.NEWS_ARTICLES_INVALID.labels(source, error.reason).inc()
            log.debug("article unusable", source=source, reason=error.reason, detail=str(error))
            return None

    async def _send(
        self, ticker: str | None, events: Sequence[NewsFetched], result: RoundResult
    ) -> Sequence[str]:
        """Publish; an entry that existed before is a duplicate, whichever process published it."""
        if not events:
            return ()
        entries = await self._publish(events, [event_id(event) for event in events])
        before = entry_order(self._before)
        for event, entry in zip(events, entries, strict=True):
            if entry in self._entries or entry_order(entry) <= before:
                self._duplicate(1, result)
                continue
            self._entries.add(entry)
            result.published += 1
            metrics.NEWS_ARTICLES.labels(ticker or EVERYTHING).inc()
            self._on_published(event)
        return entries

    def _duplicate(self, count: int, result: RoundResult) -> None:
        result.duplicates += count
        metrics.NEWS_DUPLICATES.labels(self._source.name).inc(count)

    async def _advance(
        self, name: str, newest: datetime | None, entries: Sequence[str], now: datetime
    ) -> None:
        last = max(entries, key=entry_order, default="")
        oldest = now - self._reach.lookback

        def change(state: FetcherState) -> FetcherState:
            return self._spent(state.advanced(name, newest, last, oldest))

        await self._keeper.write(change)

    def _ended(self, state: FetcherState) -> FetcherState:
        return self._spent(state.model_copy(update={"ended": True}))

    def _spent(self, state: FetcherState) -> FetcherState:
        """The state with the source's quota as it is now."""
        quota = self._source.quota
        return state if quota is None else state.with_quota(quota.as_json())


def _chunks(articles: Sequence[RawArticle]) -> Iterator[Sequence[RawArticle]]:
    return (articles[at : at + CHUNK] for at in range(0, len(articles), CHUNK))
