"""A news API, the fetcher and the filter as processes, and what their metrics say of it all."""

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streamdesk.contracts.topics import NEWS_FILTERED, NEWS_RAW, SYSTEM_EVENTS
from tests.benchmarks.news_filters import finish
from tests.eodhd_server import KEY, Article, article, cut, quota_gone, silence, status, too_many
from tests.eodhd_thread import EodhdThread, by_ticker, eodhd_api
from tests.news_processes import Metrics, NewsProcess
from tests.servers import StreamServer, wait_until

MANY = 10_000
TICKERS = "AAPL.US,MSFT.US,NVDA.US,TSLA.US,AMZN.US,META.US"
ATTEMPTS = 3  # at one question
SHORT = {"BUS_LEASE_SECONDS": "6", "GRACE_SECONDS": "5"}  # so that a test is
SUCCESS, FAILURE = "news_fetch_success_total", "news_fetch_failure_total"
Start = Callable[..., NewsProcess]


@pytest.fixture
def server(start_server: Callable[[], StreamServer]) -> StreamServer:
    return start_server()


@pytest.fixture
def api() -> Iterator[EodhdThread]:
    with eodhd_api() as running:
        yield running


@pytest.fixture
def fetcher(server: StreamServer, api: EodhdThread) -> Iterator[Start]:
    """Starts fetchers that ask the API, one ticker after the other; they end with the test."""
    with ExitStack() as stack:

        def start(*arguments: str, **environment: str) -> NewsProcess:
            settings = {
                "NEWS_SOURCE": "eodhd",
                "EODHD_URL": api.api.url,
                "EODHD_API_KEY": KEY,
                "NEWS_TICKERS": TICKERS,
                "NEWS_CONCURRENCY": "1",
            }
            process = NewsProcess(
                "news_fetcher", server.url, *arguments, **(settings | environment)
            )
            return stack.enter_context(process)

        yield start


def bodies(server: StreamServer, key: str) -> list[dict[str, Any]]:
    """The events of a stream, oldest first."""
    entries = server.ask("XRANGE", key, "-", "+", timeout_seconds=60)
    fields = [dict(zip(flat[::2], flat[1::2], strict=True)) for _, flat in entries]
    return [json.loads(each["b"]) for each in fields]


def links(server: StreamServer, key: str) -> list[str]:
    """The link of each article on a stream, sorted."""
    return sorted(body["link"] for body in bodies(server, key))


def links_of(articles: list[Article]) -> list[str]:
    return sorted(made["link"] for made in articles)


def stories(first: int, count: int, *symbols: str, minutes_ago: float = 30) -> list[Article]:
    """Articles about these symbols, a second apart, the last the newest."""
    newest = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return [
        article(number, newest - timedelta(seconds=first + count - number), symbols)
        for number in range(first, first + count)
    ]


def round_ended(fetcher: NewsProcess) -> Metrics:
    """Its metrics after its first round."""
    return fetcher.metrics_when(
        lambda shown: shown.total("news_last_round_timestamp_seconds") > 0, "the first round"
    )


def used_up(shown: Metrics) -> bool:
    """Whether the quota is."""
    return shown.total("news_quota_exhausted") == 1


def failure_rate(before: Metrics, after: Metrics) -> float:
    """As the alert NewsAPIFailureRate reads it: failures by all that was asked meanwhile."""
    failed = after.total(FAILURE) - before.total(FAILURE)
    asked = failed + after.total(SUCCESS) - before.total(SUCCESS)
    return failed / asked


def fetched_once(fetcher: Start) -> tuple[int, list[dict[str, Any]]]:
    """`fetch` as a user runs it: its exit code and the lines it printed."""
    process = fetcher("fetch")
    return process.wait(), process.log


def test_ten_thousand_articles_at_once_are_each_published_and_filtered_once(
    server: StreamServer, api: EodhdThread, fetcher: Start
) -> None:
    # Each is about two instruments that are asked for: it comes twice.
    api.api.articles += stories(0, MANY, "AAPL.US", "MSFT.US")
    with NewsProcess("news_filter", server.url, SENTIMENT_THRESHOLD="0") as news_filter:
        fetched = round_ended(fetcher(NEWS_TICKERS="AAPL.US,MSFT.US", NEWS_CONCURRENCY="4"))
        assert news_filter.probe_port
        finish(server)
        filtered = news_filter.metrics()
    wanted = links_of(api.api.articles)
    assert links(server, NEWS_RAW.key) == wanted
    assert links(server, NEWS_FILTERED.key) == wanted
    assert fetched.total("news_fetched_total") == 2 * MANY
    assert fetched.total("news_articles_total") == MANY
    assert fetched.total("news_duplicates_total") == MANY
    assert fetched.total(FAILURE) == 0
    assert fetched.total(SUCCESS) == len(api.api.news)
    # At least: what is not acknowledged in time is judged again.
    judged = filtered.by_label("news_filter_processed_total", "outcome")
    assert set(judged) == {"passed"}
    assert filtered.total("news_end_to_end_seconds_count") == judged["passed"] >= MANY
    assert {body["ticker"] for body in bodies(server, NEWS_RAW.key)} <= {"AAPL.US", "MSFT.US"}


def test_what_the_api_failed_to_answer_is_counted_by_reason_and_gives_the_failure_rate(
    api: EodhdThread, fetcher: Start
) -> None:
    bad = {
        "MSFT.US": status(503),
        "NVDA.US": status(200, b"<html>Service is busy</html>"),
        "TSLA.US": cut(-1),
        "AMZN.US": status(422),
    }
    api.api.always = by_ticker(bad)
    api.api.articles += stories(0, 3, "AAPL.US", "META.US")
    before = Metrics("")
    # One that is answered in between: five failures in a row would end the asking.
    process = fetcher(NEWS_TICKERS="AAPL.US,MSFT.US,NVDA.US,META.US,TSLA.US,AMZN.US")
    after = round_ended(process)
    asked = Counter(request["s"] for request in api.api.news)
    assert after.by_label(FAILURE, "reason") == {
        "unavailable": asked["MSFT.US"] + asked["TSLA.US"],
        "unreadable": asked["NVDA.US"],
        "bad-request": asked["AMZN.US"],
    }
    assert after.total(SUCCESS) == asked["AAPL.US"] + asked["META.US"]
    failed = sum(asked[ticker] for ticker in bad)
    assert failure_rate(before, after) == pytest.approx(failed / asked.total())
    assert after.total("news_articles_total") == 3  # those of the tickers that were answered


def test_an_api_that_is_down_has_a_failure_rate_of_one_and_is_soon_left_alone(
    api: EodhdThread, fetcher: Start
) -> None:
    api.api.always = status(503)
    process = fetcher()
    process.metrics_when(lambda shown: shown.total("news_circuit_open") == 1, "an open circuit")
    after = process.metrics_when(
        lambda shown: shown.total(FAILURE, reason="circuit-open") > 0, "a question not asked"
    )
    assert failure_rate(Metrics(""), after) == 1
    assert after.total(FAILURE, reason="unavailable") == len(api.api.news)
    assert len(api.api.news) < len(TICKERS.split(",")) * ATTEMPTS


def test_an_api_that_answers_has_a_failure_rate_of_nothing(
    api: EodhdThread, fetcher: Start
) -> None:
    api.api.articles += stories(0, 3, "AAPL.US")
    assert failure_rate(Metrics(""), round_ended(fetcher())) == 0


def test_a_busy_api_is_distinguished_from_a_broken_one(api: EodhdThread, fetcher: Start) -> None:
    api.api.answers = [too_many("1")]
    process = fetcher()
    shown = process.metrics_when(lambda shown: shown.total(FAILURE) > 0, "a 429")
    assert set(shown.by_label(FAILURE, "reason")) == {"rate-limited"}


def test_when_the_quota_is_used_up_nothing_more_is_asked_also_after_a_restart(
    server: StreamServer, api: EodhdThread, fetcher: Start
) -> None:
    api.api.user = status(500)  # so that it is the refusal that tells
    api.api.always = by_ticker({"NVDA.US": quota_gone()})
    api.api.articles += stories(0, 4, "AAPL.US")
    process = fetcher()
    shown = process.metrics_when(used_up, "the end of the quota")
    assert shown.by_label(FAILURE, "reason") == {"quota-exhausted": 1}
    assert shown.total("news_quota_left_calls") == 0
    assert [request["s"] for request in api.api.news] == ["AAPL.US", "MSFT.US", "NVDA.US"]
    assert links(server, NEWS_RAW.key) == links_of(api.api.articles)
    assert process.stop() == 0
    another = fetcher()
    another.metrics_when(used_up, "a quota that is remembered")
    assert another.stop() == 0
    code, _ = fetched_once(fetcher)
    assert code == 1
    assert len(api.api.news) == 3
    kinds = [body["kind"] for body in bodies(server, SYSTEM_EVENTS.key)]
    assert kinds.count("news-quota-exhausted") == 1


def test_a_refused_key_ends_the_asking_with_one_line_that_does_not_show_it(
    server: StreamServer, api: EodhdThread, fetcher: Start
) -> None:
    wrong = "fedcba9876543210.12345678"
    process = fetcher(EODHD_API_KEY=wrong)
    process.metrics_when(lambda shown: shown.total(FAILURE, reason="key-refused") == 1, "a refusal")
    wait_until(lambda: process.ask("readyz").status_code == 503, "a fetcher that is not ready")
    assert "key" in process.ask("readyz").text
    wait_until(lambda: server.ask("XLEN", SYSTEM_EVENTS.key) > 0, "the event")
    assert process.stop() == 0
    errors = [line for line in process.log if line.get("level") in ("error", "critical")]
    assert len(errors) == 1, process.log
    assert wrong not in json.dumps(process.log)
    assert len(api.api.news) == 1
    assert [body["kind"] for body in bodies(server, SYSTEM_EVENTS.key)] == ["news-key-refused"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_fetcher_that_ends_in_the_middle_of_a_round_is_followed_by_one_that_skips_nothing(
    server: StreamServer, api: EodhdThread, fetcher: Start, number: signal.Signals
) -> None:
    api.api.articles += stories(0, 300, "AAPL.US")
    api.api.articles += stories(300, 300, "MSFT.US", "AAPL.US", minutes_ago=20)
    api.api.articles += stories(600, 300, "NVDA.US", minutes_ago=10)
    api.api.always = by_ticker({"MSFT.US": silence()})
    first = fetcher(**SHORT)
    wait_until(lambda: any(asked["s"] == "MSFT.US" for asked in api.api.news), "the second ticker")
    wait_until(lambda: server.ask("XLEN", NEWS_RAW.key) == 600, "the articles of the first")
    first.signal(number)
    first.wait()
    # What is dated before the newest article so far, and appears only now, is no less news.
    late = stories(900, 50, "AAPL.US", minutes_ago=25)
    api.call(lambda: api.api.articles.extend(late))
    api.call(lambda: setattr(api.api, "always", None))
    round_ended(fetcher(**SHORT))
    assert links(server, NEWS_RAW.key) == links_of(api.api.articles)


def test_of_two_fetchers_one_fetches_and_the_other_resumes_without_repeats_when_it_is_killed(
    server: StreamServer, api: EodhdThread, fetcher: Start
) -> None:
    api.api.articles += stories(0, 20, "AAPL.US")
    both = [fetcher(**SHORT), fetcher(**SHORT)]

    def the_active() -> list[NewsProcess]:
        return [each for each in both if each.metrics().total("news_fetcher_active") == 1]

    wait_until(lambda: len(the_active()) == 1, "one that fetches")
    [active] = the_active()
    round_ended(active)
    both.remove(active)
    active.kill()
    both[0].metrics_when(lambda shown: shown.total("news_fetcher_active") == 1, "a successor")
    # The next round is due only an interval after the last: that is remembered, too.
    assert sorted(request["s"] for request in api.api.news) == sorted(TICKERS.split(","))
    assert links(server, NEWS_RAW.key) == links_of(api.api.articles)


def test_every_round_asks_for_what_is_new_and_publishes_nothing_twice(
    server: StreamServer, api: EodhdThread, fetcher: Start
) -> None:
    api.api.articles += stories(0, 40, "AAPL.US", "TSLA.US")
    code, lines = fetched_once(fetcher)
    assert (code, lines[-1]["published"]) == (0, 40)
    api.api.articles += stories(40, 5, "TSLA.US", minutes_ago=1)
    code, lines = fetched_once(fetcher)
    assert (code, lines[-1]["published"]) == (0, 5)
    assert lines[-1]["duplicates"] > 0
    assert links(server, NEWS_RAW.key) == links_of(api.api.articles)
