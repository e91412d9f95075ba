"""EODHD's news: each instrument's articles, whole, inside the limits of the day and the minute."""

import asyncio
import functools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus

import stamina
from aiolimiter import AsyncLimiter
from pydantic import SecretStr

from streamdesk.news_fetcher.adapters.eodhd.answers import (
    EodhdAnswer,
    error_of,
    meaning,
    rate_limit,
    read_articles,
    read_usage,
    their_ticker,
)
from streamdesk.news_fetcher.adapters.eodhd.circuit import SourceCircuit
from streamdesk.news_fetcher.adapters.eodhd.http import EodhdHttp
from streamdesk.news_fetcher.adapters.eodhd.minute_pace import MinutePace, leaky_bucket
from streamdesk.news_fetcher.adapters.eodhd.pages import LARGEST_PAGE, Pages
from streamdesk.news_fetcher.adapters.news_source import NewsQuery
from streamdesk.news_fetcher.domain.articles import RawArticle
from streamdesk.news_fetcher.domain.quota import Quota, cost
from streamdesk.news_fetcher.errors import (
    BadRequestError,
    NewsSourceUnavailableError,
    SourceBusyError,
    SourceError,
)

BASE_URL = "https://eodhd.com"
NEWS_PATH = "/api/news"
USER_PATH = "/api/user"

# Each attempt is reported to `on_request`, and the round logs its failures: no line for each.
stamina.instrumentation.set_on_retry_hooks(())

ATTEMPTS = 3
LONGEST_PAUSE_SECONDS = 5.0
"""Between two attempts; a server that wants more (Retry-After) is asked in the next round."""

FAILURES_IN_A_ROW = 5
PAUSE_SECONDS = 60.0

COUNT_AGAIN_SECONDS = 3_600.0
COUNT_FAILED_SECONDS = 600.0
"""When /api/user is asked again: after it answered, and after it did not."""


class EodhdSource:
    """A NewsSource over HTTP. Everything it raises is a SourceError, and none holds the key.

    Raises ValueError where `base_url` is no address.

    Args:
        key: the subscriber's `api_token`.
        base_url: scheme, host and port.
        quota: the budget of the day; changed by each request, and by the provider's own count.
        calls_per_minute: requests in any minute; more wait for their turn.
        timeout_seconds: for one whole answer, however slowly its bytes come.
        connections: requests at one time.
        retry_pause_seconds: before the second attempt, twice as long before the third.
        failures: after so many in a row the source is not asked.
        pause_seconds: for so long.
        on_request: called for each request with `ok`, or the `reason` of its error; also for
            those that were not made, as long as the source is what prevented them.
        clock: the current time, for the quota.
    """

    name = "eodhd"
    by_ticker = True

    def __init__(
        self,
        key: SecretStr,
        base_url: str = BASE_URL,
        *,
        quota: Quota,
        calls_per_minute: int = 1_000,
        timeout_seconds: float = 10.0,
        connections: int = 8,
        retry_pause_seconds: float = 0.5,
        failures: int = FAILURES_IN_A_ROW,
        pause_seconds: float = PAUSE_SECONDS,
        on_request: Callable[[str], None] = lambda _outcome: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.quota = quota
        self._clock = clock
        self._on_request = on_request
        self._http = EodhdHttp(
            key, base_url, timeout_seconds=timeout_seconds, connections=connections
        )
        self._circuit = SourceCircuit(self.name, failures=failures, pause_seconds=pause_seconds)
        self._limiter = AsyncLimiter(*leaky_bucket(calls_per_minute))
        self._pace = MinutePace()
        self._attempts = stamina.AsyncRetryingCaller(
            attempts=ATTEMPTS,
            timeout=None,
            wait_initial=retry_pause_seconds,
            wait_max=LONGEST_PAUSE_SECONDS,
            wait_jitter=retry_pause_seconds,
        ).on(_may_repeat)
        self._counting = asyncio.Lock()
        self._count_at = 0.0

    @property
    def circuit_open(self) -> bool:
        """Whether it failed several times in a row and is not asked for a while."""
        return self._circuit.is_open

    async def fetch(self, query: NewsQuery) -> Sequence[RawArticle]:
        """All articles of an instrument from `since` on, oldest first; see NewsSource.

        Raises:
            SourceError: not all of them are available.
        """
        if not query.ticker:
            raise BadRequestError(f"{self.name} is asked by instrument; the query names none")
        await self._count()
        what = f"{query.ticker} from {query.since.isoformat(timespec='seconds')}"
        pages = Pages(since=query.since, what=what, limit=LARGEST_PAGE)
        more = True
        while more:
            params = _params(query, pages)
            page = await self._attempts(functools.partial(self._page, params))
            try:
                more = pages.add(page)
            except SourceError as error:  # an answer, but not the whole of it
                self._on_request(error.reason)
                raise
        return pages.articles()

    async def learn_quota(self) -> bool:
        """Ask for the provider's own count of calls; whether it gave one. Never raises."""
        try:
            await self._wait()
            answer = await self._http.get(USER_PATH, {"fmt": "json"})
        except SourceError:
            return False
        now = self._clock()
        ok = answer.status == HTTPStatus.OK
        usage = read_usage(answer.body, now.astimezone(UTC).date()) if ok else None
        if usage is not None:
            self.quota.learn(now, usage.used, usage.limit)
        return usage is not None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _count(self) -> None:
        """Learn the quota, once at the start and then by the hour; others wait for it."""
        async with self._counting:
            now = asyncio.get_running_loop().time()
            if now < self._count_at or self._circuit.is_open:
                return
            counted = await self.learn_quota()
            self._count_at = now + (COUNT_AGAIN_SECONDS if counted else COUNT_FAILED_SECONDS)

    async def _page(self, params: dict[str, str | int]) -> list[RawArticle]:
        """One attempt at a page, and what became of it."""
        try:
            self._circuit.check()
            await self._wait()
            page = await self._circuit.call(functools.partial(self._ask, params))
        except SourceError as error:
            self._on_request(error.reason)
            raise
        self._on_request("ok")
        return page

    async def _wait(self) -> None:
        """Wait for our turn in the minute."""
        await self._limiter.acquire()
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._pace.take(loop.time()))
        self._pace.check(
            loop.time()
        )  # a refusal of another request meanwhile holds for this one, too

    async def _ask(self, params: dict[str, str | int]) -> list[RawArticle]:
        self.quota.spend(self._clock(), cost(tickers=1))
        answer = await self._http.get(NEWS_PATH, params)
        self._obey(answer)
        status = meaning(answer)
        if status == HTTPStatus.PAYMENT_REQUIRED:
            self.quota.refuse(self._clock())
            raise self.quota.error(self._clock())
        error = error_of(status, answer, self._http.where)
        if isinstance(error, SourceBusyError):
            now = asyncio.get_running_loop().time()
            self._pace.block(now, error.retry_after_seconds or 0.0)
            self._count_at = 0.0  # it may have been the limit of the day: ask before going on
        if error is not None:
            raise error
        return read_articles(answer, self._http.where)

    def _obey(self, answer: EodhdAnswer) -> None:
        """Adjust the pace to the server's headers."""
        limits = rate_limit(answer.headers)
        if limits is not None:
            self._pace.learn(asyncio.get_running_loop().time(), *limits)


def _params(query: NewsQuery, pages: Pages) -> dict[str, str | int]:
    return {
        "s": their_ticker(str(query.ticker)),
        "from": f"{query.since.astimezone(UTC):%Y-%m-%d}",
        "to": f"{query.until.astimezone(UTC):%Y-%m-%d}",
        "limit": pages.limit,
        "offset": pages.offset,
        "fmt": "json",
    }


def _may_repeat(error: Exception) -> bool | float:
    """Whether a request may be repeated; after how long, if the server demands a pause.

    Reading changes nothing, so it is always safe; it costs calls, so only failures that
    may be brief are tried again.
    """
    if not isinstance(error, NewsSourceUnavailableError):
        return False
    wait_seconds = error.retry_after_seconds
    if wait_seconds is None:
        return True
    return wait_seconds if wait_seconds <= LONGEST_PAUSE_SECONDS else False
