import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from streamdesk.market import (
    BarSeries,
    BarSourceUnavailableError,
    MarketError,
    UnknownInstrumentError,
)
from streamdesk.market.sources.binance.source import (
    FAILURES_IN_A_ROW,
    PAUSE_SECONDS,
    BinanceBarSource,
)
from streamdesk.market.sources.binance.weight import BAN_SECONDS, SLOW_DOWN_SECONDS
from tests.klines_server import (
    NOW_MS,
    Answer,
    KlinesServer,
    cut,
    drip,
    flood,
    kline,
    silence,
    status,
)

MINUTE = 60_000
OPENED = NOW_MS // MINUTE * MINUTE  # the kline that is still open


class Clock:
    """Seconds since 1970, moved by the test."""

    def __init__(self) -> None:
        # The first second of a minute: all of its weight is still to be spent.
        self.now = float(NOW_MS // MINUTE * 60)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server() -> AsyncIterator[KlinesServer]:
    async with KlinesServer().running() as running:
        yield running


@pytest.fixture
async def source_of(clock: Clock) -> AsyncIterator[Callable[..., BinanceBarSource]]:
    made: list[BinanceBarSource] = []

    def make(server: KlinesServer, **more: Any) -> BinanceBarSource:
        options: dict[str, Any] = {"timeout_seconds": 60.0, "clock": clock, **more}
        made.append(BinanceBarSource(server.url, **options))
        return made[-1]

    yield make
    for source in made:
        await source.close()


SourceOf = Callable[..., BinanceBarSource]


async def one(source: BinanceBarSource, symbol: str = "BTCUSDT", count: int = 5) -> Any:
    return (await source.latest([symbol], 60, count))[symbol]


async def series(source: BinanceBarSource, symbol: str = "BTCUSDT", count: int = 5) -> BarSeries:
    answer = await one(source, symbol, count)
    assert isinstance(answer, BarSeries), answer
    return answer


async def trouble(source: BinanceBarSource, symbol: str = "BTCUSDT", count: int = 5) -> MarketError:
    answer = await one(source, symbol, count)
    assert isinstance(answer, MarketError)
    return answer


async def unavailable(
    source: BinanceBarSource, symbol: str = "BTCUSDT", count: int = 5
) -> BarSourceUnavailableError:
    error = await trouble(source, symbol, count)
    assert isinstance(error, BarSourceUnavailableError), error
    return error


async def test_the_bars_are_those_that_the_server_sent(
    server: KlinesServer, source_of: SourceOf
) -> None:
    found = await series(source_of(server), count=3)
    sent = [kline(OPENED - back * MINUTE, MINUTE) for back in (3, 2, 1)]
    assert found.symbol == "BTCUSDT"
    assert found.interval_seconds == 60
    assert found.open.tolist() == [float(row[1]) for row in sent]
    assert found.high.tolist() == [float(row[2]) for row in sent]
    assert found.low.tolist() == [float(row[3]) for row in sent]
    assert found.close.tolist() == [float(row[4]) for row in sent]
    assert found.volume.tolist() == [12.5] * 3


async def test_a_bar_carries_the_time_of_its_end(server: KlinesServer, source_of: SourceOf) -> None:
    found = await series(source_of(server))
    assert found.as_of == datetime.fromtimestamp(OPENED / 1_000, UTC)


async def test_the_bar_that_is_still_open_is_left_out(
    server: KlinesServer, source_of: SourceOf
) -> None:
    assert len(await series(source_of(server), count=5)) == 5
    assert server.requests[0]["limit"] == "6"  # one more, for the open one


async def test_the_servers_time_decides_what_is_closed_however_wrong_ours_is(
    server: KlinesServer, source_of: SourceOf, clock: Clock
) -> None:
    clock.now += 3_600
    assert (await series(source_of(server))).timestamps[-1] == OPENED
    server.now_ms = OPENED + MINUTE - 1  # the last millisecond of the open bar
    assert (await series(source_of(server))).timestamps[-1] == OPENED
    server.now_ms = OPENED + MINUTE
    assert (await series(source_of(server))).timestamps[-1] == OPENED + MINUTE


async def test_without_a_date_our_own_time_decides_what_is_closed(
    server: KlinesServer, source_of: SourceOf, clock: Clock
) -> None:
    server.date = "no date at all"
    clock.now = OPENED / 1_000 - 30
    assert (await series(source_of(server))).timestamps[-1] == OPENED - MINUTE


async def test_more_bars_than_one_answer_holds_are_fetched_in_pages(
    server: KlinesServer, source_of: SourceOf
) -> None:
    found = await series(source_of(server), count=2_500)
    assert len(found) == 2_500
    assert set((found.timestamps[1:] - found.timestamps[:-1]).tolist()) == {MINUTE}
    assert found.timestamps[-1] == OPENED
    assert len(server.requests) == 3


async def test_a_server_that_sends_the_same_page_again_is_not_believed(
    server: KlinesServer, source_of: SourceOf
) -> None:
    _, body = server.content({"symbol": "BTCUSDT", "interval": "1m", "limit": "1000"})
    server.always = status(200, body)
    error = await unavailable(source_of(server), count=2_500)
    assert "asked for older klines" in str(error)


async def test_a_young_pair_has_the_bars_that_there_are(
    server: KlinesServer, source_of: SourceOf
) -> None:
    server.first_ms = OPENED - 7 * MINUTE
    assert len(await series(source_of(server), count=600)) == 7
    assert len(server.requests) == 1


async def test_a_pair_without_any_closed_bar_has_an_empty_series(
    server: KlinesServer, source_of: SourceOf
) -> None:
    server.always = status(200, b"[]")
    assert len(await series(source_of(server))) == 0


async def test_a_symbol_that_does_not_exist_is_unknown_and_the_others_are_answered(
    server: KlinesServer, source_of: SourceOf
) -> None:
    answers = await source_of(server).latest(["BTCUSDT", "NOSUCHUSDT", "ETHUSDT"], 60, 5)
    assert isinstance(answers["NOSUCHUSDT"], UnknownInstrumentError)
    assert "'NOSUCHUSDT' is not known: Binance does not have it" in str(answers["NOSUCHUSDT"])
    assert [type(answers[s]) for s in ("BTCUSDT", "ETHUSDT")] == [BarSeries, BarSeries]


async def test_shares_are_unknown_without_asking(server: KlinesServer, source_of: SourceOf) -> None:
    assert isinstance(await trouble(source_of(server), "AAPL.US"), UnknownInstrumentError)
    assert server.requests == []


async def test_a_length_of_bars_that_binance_does_not_have_is_refused_and_told(
    server: KlinesServer, source_of: SourceOf
) -> None:
    answers = await source_of(server).latest(["BTCUSDT"], 90, 5)
    assert "no bars of 90 s; it has 1, 60, 180" in str(answers["BTCUSDT"])
    assert server.requests == []


async def test_a_symbol_named_twice_is_asked_once(
    server: KlinesServer, source_of: SourceOf
) -> None:
    assert list(await source_of(server).latest(["BTCUSDT", "BTCUSDT"], 60, 5)) == ["BTCUSDT"]
    assert len(server.requests) == 1


async def test_no_more_requests_are_under_way_than_connections_are_allowed(
    server: KlinesServer, source_of: SourceOf
) -> None:
    server.symbols = {f"C{n}USDT" for n in range(40)}
    answers = await source_of(server, connections=3).latest(sorted(server.symbols), 60, 5)
    assert {type(answer) for answer in answers.values()} == {BarSeries}
    assert server.most_at_once <= 3


@pytest.mark.parametrize(
    ("code", "word", "unsaid"),
    [(429, "slow down", SLOW_DOWN_SECONDS), (418, "banned", BAN_SECONDS)],
)
class TestWhenTheServerSaysStop:
    async def test_nothing_is_asked_until_the_time_that_it_named(
        self, server: KlinesServer, source_of: SourceOf, clock: Clock, code: int, word: str,
        unsaid: float,
    ) -> None:  # fmt: skip
        source = source_of(server)
        server.answers = [status(code, Retry_After="37")]
        error = await unavailable(source)
        assert error.retry_after_seconds == 37
        assert word in str(error)
        clock.now += 36.9
        again = await unavailable(source, "ETHUSDT")
        assert again.retry_after_seconds == pytest.approx(0.1)
        assert len(server.requests) == 1
        clock.now += 0.1
        await series(source)
        assert len(server.requests) == 2
        assert unsaid > 37

    @pytest.mark.parametrize("header", [{}, {"Retry_After": "soon"}, {"Retry_After": "-5"}])
    async def test_without_a_time_it_is_the_documented_one(
        self, server: KlinesServer, source_of: SourceOf, code: int, word: str, unsaid: float,
        header: dict[str, str],
    ) -> None:  # fmt: skip
        server.always = status(code, b"{}", **header)
        error = await unavailable(source_of(server))
        assert error.retry_after_seconds == unsaid
        assert word in str(error)

    async def test_the_rest_of_a_batch_is_not_asked_any_more(
        self, server: KlinesServer, source_of: SourceOf, code: int, word: str, unsaid: float
    ) -> None:
        server.symbols = {f"C{n}USDT" for n in range(50)}
        server.always = status(code)
        answers = await source_of(server, connections=2).latest(sorted(server.symbols), 60, 5)
        assert all(isinstance(a, BarSourceUnavailableError) for a in answers.values())
        assert {word in str(answer) for answer in answers.values()} == {True}
        assert unsaid > 0
        assert len(server.requests) <= 2  # those in flight


async def test_a_ban_cannot_be_named_longer_than_the_longest_there_is(
    server: KlinesServer, source_of: SourceOf
) -> None:
    server.always = status(418, Retry_After="9" * 30)
    error = await unavailable(source_of(server))
    assert error.retry_after_seconds == 3 * 86_400


async def test_a_clock_that_is_set_back_does_not_make_a_ban_longer(
    server: KlinesServer, source_of: SourceOf, clock: Clock
) -> None:
    source = source_of(server)
    server.answers = [status(429, Retry_After="30")]
    await trouble(source)
    clock.now -= 86_400
    assert (await unavailable(source)).retry_after_seconds == 30
    clock.now += 30
    await series(source)


async def test_used_weight_that_others_ran_up_holds_us_back(
    server: KlinesServer, source_of: SourceOf, clock: Clock
) -> None:
    source = source_of(server, weight_per_minute=1_000)
    server.used_weight = 998
    await series(source)
    assert source.used_weight == 1_000
    error = await unavailable(source)
    assert error.retry_after_seconds == 60
    assert "1000 of 1000 weight" in str(error)
    assert len(server.requests) == 1
    clock.now += 60  # a new minute, for the server too
    server.used_weight = 0
    await series(source)


async def test_a_request_waits_for_its_turn_and_is_not_made_if_all_are_stopped_meanwhile(
    server: KlinesServer, source_of: SourceOf
) -> None:
    source = source_of(server, weight_per_minute=1_000)
    server.used_weight = 510
    await series(source)
    turn = asyncio.create_task(unavailable(source))  # due in 60 s * 14 / 500
    while source.used_weight == 512:
        await asyncio.sleep(0)
    source._budget.block(source._clock(), 30, "banned")
    assert "banned" in str(await turn)
    assert len(server.requests) == 1


async def test_a_request_is_made_when_its_turn_comes(
    server: KlinesServer, source_of: SourceOf
) -> None:
    source = source_of(server)
    server.used_weight = 1_500
    await series(source)
    await series(source)  # 4 of the 1,500 that are spread over the minute: in a sixth of a second
    assert source.used_weight == 1_504


async def test_a_nonsense_weight_is_not_believed(server: KlinesServer, source_of: SourceOf) -> None:
    _, body = server.content({"symbol": "BTCUSDT", "interval": "1m", "limit": "6"})
    server.always = status(200, body, x_mbx_used_weight_1m="many")
    source = source_of(server)
    await series(source)
    assert source.used_weight == 2


@pytest.mark.parametrize(
    "body",
    [
        b"<html>not the server you meant</html>",
        b"",
        b"[[",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"code": 0}',
        b"null",
        b"[1, 2]",
        b"[[]]",
        b'[{"open": 1}]',
        b'[[1, "1", "1", "1", "1"]]',
        b'[["x", "1", "1", "1", "1", "1", 5]]',
        b'[[1, "1", "1", "1", null, "1", 5]]',
        b'[[1e400, "1", "1", "1", "1", "1", 5]]',
        b'[[99999999999999999999, "1", "1", "1", "1", "1", 5]]',
    ],
)
async def test_an_answer_that_is_no_list_of_klines_is_refused(
    server: KlinesServer, source_of: SourceOf, body: bytes
) -> None:
    server.always = status(200, body)
    assert str(await unavailable(source_of(server))).startswith("BTCUSDT: ")


@pytest.mark.parametrize(
    "numbers",
    [
        ("nan", "2", "1", "1", "1"),
        ("1", "inf", "1", "1", "1"),
        ("0", "1", "0", "1", "1"),
        ("1", "1", "2", "1", "1"),
        ("3", "2", "1", "1", "1"),
        ("1", "2", "1", "3", "1"),
        ("1", "2", "1", "1", "-1"),
    ],
)
async def test_numbers_that_make_no_sense_are_refused_and_named(
    server: KlinesServer, source_of: SourceOf, numbers: tuple[str, ...]
) -> None:
    good = kline(OPENED - 2 * MINUTE, MINUTE)
    bad = [OPENED - MINUTE, *numbers, OPENED - 1]
    server.always = status(200, json.dumps([good, bad]).encode())
    assert "kline 2 is invalid" in str(await unavailable(source_of(server)))


async def test_klines_out_of_order_or_twice_are_refused(
    server: KlinesServer, source_of: SourceOf
) -> None:
    first, second = (kline(OPENED - back * MINUTE, MINUTE) for back in (2, 1))
    for rows in ([second, first], [first, first]):
        server.always = status(200, json.dumps(rows).encode())
        assert "order of their times" in str(await unavailable(source_of(server)))


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (400, b'{"code":-1100,"msg":"Illegal characters found"}'),
        (400, b"not JSON"),
        (400, b'["a list"]'),
        (301, b""),
        (403, b"<html>firewall</html>"),
        (404, b""),
        (500, b""),
        (503, b"{}"),
    ],
)
async def test_any_other_status_is_reported_with_the_servers_text(
    server: KlinesServer, source_of: SourceOf, code: int, body: bytes
) -> None:
    server.always = status(code, body)
    error = await unavailable(source_of(server))
    assert f"answered {code}: {body.decode()}" in str(error)
    assert error.retry_after_seconds is None


@pytest.mark.parametrize("sent", [-1, 0, 100])
async def test_a_connection_that_is_cut_costs_one_answer_and_the_next_is_whole(
    server: KlinesServer, source_of: SourceOf, sent: int
) -> None:
    source = source_of(server)
    server.answers = [cut(sent)]
    assert "cannot be asked" in str(await unavailable(source))
    await series(source)


@pytest.mark.parametrize("answer", [drip(), silence()])
async def test_an_answer_has_its_time_however_many_bytes_come(
    server: KlinesServer, source_of: SourceOf, answer: Answer
) -> None:
    server.always = answer
    async with asyncio.timeout(60):
        error = await unavailable(source_of(server, timeout_seconds=0.2))
    assert "no whole answer" in str(error)
    assert "in 0.2 s" in str(error)


async def test_an_answer_without_an_end_is_not_read_to_it(
    server: KlinesServer, source_of: SourceOf
) -> None:
    server.always = flood()
    assert "an answer of more than 4000000 bytes" in str(await unavailable(source_of(server)))


async def test_a_server_that_is_not_there_is_told(
    server: KlinesServer, source_of: SourceOf
) -> None:
    server.url = "http://127.0.0.1:9"  # discard: nothing listens
    assert "http://127.0.0.1:9 cannot be asked" in str(await unavailable(source_of(server)))


async def test_a_server_that_hangs_does_not_make_every_symbol_of_a_batch_wait(
    server: KlinesServer, source_of: SourceOf
) -> None:
    server.symbols = {f"C{n}USDT" for n in range(78)}
    server.always = silence()
    source = source_of(server, timeout_seconds=0.2, connections=2)
    answers = await source.latest(sorted(server.symbols), 60, 5)
    assert all(isinstance(answer, BarSourceUnavailableError) for answer in answers.values())
    assert len(server.requests) <= FAILURES_IN_A_ROW + 1  # one may be in flight by then


async def test_after_some_failures_in_a_row_it_is_asked_again_when_the_pause_is_over(
    server: KlinesServer, source_of: SourceOf, clock: Clock
) -> None:
    server.answers = [status(503)] * FAILURES_IN_A_ROW
    source = source_of(server)
    for _ in range(FAILURES_IN_A_ROW):
        await unavailable(source)
    error = await unavailable(source)
    assert error.retry_after_seconds == PAUSE_SECONDS
    assert "did not answer 3 times in a row" in str(error)
    clock.now += PAUSE_SECONDS
    await series(source)
    assert len(server.requests) == FAILURES_IN_A_ROW + 1


async def test_an_answer_in_between_ends_a_row_of_failures(
    server: KlinesServer, source_of: SourceOf
) -> None:
    failure = status(503)
    server.answers = [failure, failure, KlinesServer.klines, failure, failure]
    source = source_of(server)
    for _ in range(5):
        await one(source)
    await series(source)


async def test_the_observer_is_called_for_each_request(
    server: KlinesServer, source_of: SourceOf
) -> None:
    seen: list[tuple[str, str]] = []
    source = source_of(server, observe=lambda name, outcome: seen.append((name, outcome)))
    await series(source)
    await trouble(source, "NOSUCHUSDT")
    server.answers = [status(500), status(429)]
    await trouble(source)
    await trouble(source)
    assert seen == [
        ("binance", "ok"),
        ("binance", "unknown"),
        ("binance", "unavailable"),
        ("binance", "limited"),
    ]
