"""Binance's public klines over HTTP: no key, closed bars only, never faster than it allows."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime

import httpx
import numpy as np

from streamdesk.market.errors import (
    BarSourceUnavailableError,
    MarketError,
    SeriesError,
    UnknownInstrumentError,
)
from streamdesk.market.instruments import CRYPTO, market_of
from streamdesk.market.series import COLUMNS, BarSeries
from streamdesk.market.sources.binance.klines import INTERVALS, MOST_BARS, read_klines
from streamdesk.market.sources.binance.weight import (
    BAN_SECONDS,
    SLOW_DOWN_SECONDS,
    WeightBudget,
    retry_after_seconds,
)
from streamdesk.market.sources.port import Answers, Observe

BASE_URL = "https://api.binance.com"
PATH = "/api/v3/klines"
WEIGHT = 2
"""Of one request, however many bars it asks for."""

INVALID_SYMBOL = -1121
"""`code` of the answer to a symbol that does not exist."""

LARGEST_ANSWER_BYTES = 4_000_000
"""A thousand klines are some 150 KB; a longer answer is not read."""

FAILURES_IN_A_ROW = 3
PAUSE_SECONDS = 10.0
"""How long no request is made after `FAILURES_IN_A_ROW`: a server that hangs must not make each of
many symbols wait for its own time-out."""

_OK = 200
_BAD_REQUEST = 400
_BANNED = 418
_TOO_MANY = 429
_SERVER_ERRORS = 500


class BinanceBarSource:
    """The latest bars of crypto pairs, from a server that speaks Binance's klines.

    Nothing is retried: a caller that polls asks again, and until then another source may answer.

    Args:
        base_url: scheme, host and port.
        weight_per_minute: how much of Binance's 6,000 a minute we use; others may share our
            address.
        timeout_seconds: for one whole answer, however slowly its bytes come.
        patience_seconds: a request that would have to wait longer for its turn is not made.
        connections: concurrent requests.
        observe: called after each request; see `Observe`.
        clock: seconds since 1970.
    """

    name = "binance"

    def __init__(
        self,
        base_url: str = BASE_URL,
        *,
        weight_per_minute: int = 3_000,
        timeout_seconds: float = 10.0,
        patience_seconds: float = 5.0,
        connections: int = 8,
        observe: Observe = lambda _source, _outcome: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._budget = WeightBudget(weight_per_minute)
        self._timeout_seconds = timeout_seconds
        self._patience_seconds = patience_seconds
        self._turns = asyncio.Semaphore(connections)
        self._failures = 0
        self._observe = observe
        self._clock = clock
        self._http = httpx.AsyncClient(
            base_url=base_url,
            timeout=timeout_seconds,
            limits=httpx.Limits(max_connections=connections, keepalive_expiry=15.0),
            headers={"accept": "application/json"},
        )

    @property
    def used_weight(self) -> int:
        """Weight used in the minute last seen, as the server or we counted it."""
        return self._budget.used

    async def latest(self, symbols: Sequence[str], interval_seconds: int, count: int) -> Answers:
        """The closed bars of each pair; see `BarSource`."""
        asked = list(dict.fromkeys(symbols))
        answers = await asyncio.gather(
            *(self._answer(symbol, interval_seconds, count) for symbol in asked)
        )
        return dict(zip(asked, answers, strict=True))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _answer(self, symbol: str, seconds: int, count: int) -> BarSeries | MarketError:
        if market_of(symbol) != CRYPTO:
            return UnknownInstrumentError(symbol, "Binance has crypto pairs alone")
        if seconds not in INTERVALS:
            known = ", ".join(str(length) for length in INTERVALS)
            return SeriesError(f"{symbol}: Binance has no bars of {seconds} s; it has {known}")
        try:
            return await self._newest(symbol, seconds, count)
        except MarketError as error:
            return error

    async def _newest(self, symbol: str, seconds: int, count: int) -> BarSeries:
        """Pages from the newest back, until there are enough bars or no more."""
        pages: list[BarSeries] = []
        missing, before = count, None
        while missing > 0:
            limit = min(missing + (before is None), MOST_BARS)  # the newest is still open
            page, sent = await self._page(symbol, seconds, limit, before)
            # A server that ignores `endTime` would send the newest page again and again.
            if before is not None and len(page) and page.timestamps[-1] > before:
                raise BarSourceUnavailableError(
                    f"{symbol}: {self._http.base_url} was asked for older klines and sent others"
                )
            pages.append(page)
            missing -= len(page)
            # A page that is not full is the oldest. One without a closed bar has no time to ask
            # before.
            if sent < limit or not len(page):
                break
            before = int(page.timestamps[0]) - 1_000 * seconds
        return _joined(symbol, seconds, pages[::-1]).last(count)

    async def _page(
        self, symbol: str, seconds: int, limit: int, before: int | None
    ) -> tuple[BarSeries, int]:
        params: dict[str, str | int] = {
            "symbol": symbol,
            "interval": INTERVALS[seconds],
            "limit": limit,
        }
        if before is not None:
            params["endTime"] = before - 1
        outcome = "unavailable"
        try:
            async with self._turns:
                await self._wait_for_turn()
                response, body = await self._get(symbol, params)
            self._check_status(symbol, response, body)
            page = read_klines(body, symbol, seconds, self._now_ms(response))
        except UnknownInstrumentError:
            outcome = "unknown"
            raise
        except BarSourceUnavailableError as error:
            outcome = "unavailable" if error.retry_after_seconds is None else "limited"
            raise
        else:
            outcome = "ok"
            return page
        finally:
            self._observe(self.name, outcome)

    async def _wait_for_turn(self) -> None:
        wait_seconds = self._budget.take(self._clock(), WEIGHT, self._patience_seconds)
        if wait_seconds:
            await asyncio.sleep(wait_seconds)
            self._budget.check(self._clock())  # a refusal of another request holds for all

    async def _get(self, symbol: str, params: dict[str, str | int]) -> tuple[httpx.Response, bytes]:
        """The whole answer, within the time-out and the size limit."""
        body = bytearray()
        failed = True
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._http.stream("GET", PATH, params=params) as response,
            ):
                self._obey(response)
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > LARGEST_ANSWER_BYTES:
                        raise BarSourceUnavailableError(
                            f"{symbol}: an answer of more than {LARGEST_ANSWER_BYTES} bytes"
                        )
                failed = response.status_code >= _SERVER_ERRORS
        except (TimeoutError, httpx.TimeoutException) as error:
            raise BarSourceUnavailableError(
                f"{symbol}: no whole answer of {self._http.base_url} in {self._timeout_seconds} s"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise BarSourceUnavailableError(
                f"{symbol}: {self._http.base_url} cannot be asked: {error or type(error).__name__}"
            ) from error
        finally:
            self._count(failed=failed)
        return response, bytes(body)

    def _count(self, *, failed: bool) -> None:
        """Pause after some failures in a row."""
        self._failures = self._failures + 1 if failed else 0
        if self._failures >= FAILURES_IN_A_ROW:
            self._failures = 0
            self._budget.block(
                self._clock(),
                PAUSE_SECONDS,
                f"{self._http.base_url} did not answer {FAILURES_IN_A_ROW} times in a row; it is "
                f"asked again after {PAUSE_SECONDS:.0f} s",
            )

    def _obey(self, response: httpx.Response) -> None:
        """Apply what the headers say about our rate, before the body is read."""
        now = self._clock()
        used = response.headers.get("x-mbx-used-weight-1m", "")
        if used.isascii() and used.isdigit():
            self._budget.learn(now, int(used[:9]))
        if response.status_code in {_BANNED, _TOO_MANY}:
            banned = response.status_code == _BANNED
            seconds = retry_after_seconds(
                response.headers.get("retry-after"), BAN_SECONDS if banned else SLOW_DOWN_SECONDS
            )
            what = "has banned this address (418)" if banned else "asks to slow down (429)"
            self._budget.block(now, seconds, f"{self._http.base_url} {what} for {seconds:.0f} s")

    def _check_status(self, symbol: str, response: httpx.Response, body: bytes) -> None:
        status = response.status_code
        if status == _OK:
            return
        if status in {_BANNED, _TOO_MANY}:
            self._budget.check(self._clock())  # raises, and names the time left
        if status == _BAD_REQUEST and _code(body) == INVALID_SYMBOL:
            raise UnknownInstrumentError(symbol, "Binance does not have it")
        raise BarSourceUnavailableError(
            f"{symbol}: {self._http.base_url} answered {status}: "
            f"{body[:120].decode(errors='replace')}"
        )

    def _now_ms(self, response: httpx.Response) -> int:
        """The server's time, which decides what is closed; it is cut to seconds, so never ahead."""
        with contextlib.suppress(KeyError, TypeError, ValueError):
            return int(parsedate_to_datetime(response.headers["date"]).timestamp() * 1_000)
        return int(self._clock() * 1_000)


def _code(body: bytes) -> int | None:
    with contextlib.suppress(ValueError, RecursionError):
        answer = json.loads(body)
        if isinstance(answer, dict) and isinstance(answer.get("code"), int):
            return int(answer["code"])
    return None


def _joined(symbol: str, seconds: int, pages: Sequence[BarSeries]) -> BarSeries:
    """One series of several, oldest first. Pages do not overlap: each ends before the next."""
    if not pages:
        return BarSeries.empty(symbol, seconds)
    if len(pages) == 1:
        return pages[0]
    return BarSeries(
        symbol,
        seconds,
        np.concatenate([page.timestamps for page in pages]),
        *(np.concatenate([getattr(page, name) for page in pages]) for name in COLUMNS),
    )
