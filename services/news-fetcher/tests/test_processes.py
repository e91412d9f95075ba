"""The fetcher as processes on a real server, against an API on loopback."""

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.events import Severity
from streamdesk.contracts.topics import NEWS_RAW, SYSTEM_EVENTS
from streamdesk.news_fetcher.adapters.recorded.recording import SAMPLE_FILE
from streamdesk.news_fetcher.domain.links import normalise_link
from tests.eodhd_server import KEY, article, quota_gone
from tests.eodhd_thread import EodhdThread, eodhd_api
from tests.news_processes import NewsProcess
from tests.servers import StreamServer, wait_until

LEASE = {"BUS_LEASE_SECONDS": "4"}
OTHER_KEY = "fedcba9876543210.12345678"  # a placeholder, too
Start = Callable[..., NewsProcess]


@pytest.fixture
def server(start_server: Callable[[], StreamServer]) -> StreamServer:
    return start_server()


@pytest.fixture
def api() -> Iterator[EodhdThread]:
    now = datetime.now(UTC)
    articles = [article(n, now - timedelta(minutes=n)) for n in range(20)]
    with eodhd_api(articles=articles) as api:
        yield api


@pytest.fixture
def start(server: StreamServer) -> Iterator[Start]:
    with ExitStack() as stack:

        def begin(*arguments: str, **environment: str) -> NewsProcess:
            process = NewsProcess("news_fetcher", server.url, *arguments, **LEASE | environment)
            return stack.enter_context(process)

        yield begin


def asking(api: EodhdThread, **changes: str) -> dict[str, str]:
    """The settings of a fetcher that asks the API about two instruments."""
    settings = {
        "NEWS_SOURCE": "eodhd",
        "EODHD_URL": api.api.url,
        "EODHD_API_KEY": KEY,
        "NEWS_TICKERS": "AAPL.US,MSFT.US",
        "NEWS_CONCURRENCY": "1",
        "NEWS_INTERVAL_SECONDS": "600",
    }
    return settings | changes


def heard(process: NewsProcess, event: str) -> dict[str, Any]:
    """Its first line in the log that says this, waited for."""

    def found() -> list[dict[str, Any]]:
        return [line for line in list(process.log) if line.get("event") == event]

    wait_until(lambda: bool(found()), f"the line {event!r}")
    return found()[0]


def active(process: NewsProcess) -> bool:
    return process.metrics().total("news_fetcher_active") == 1


def the_active(players: Sequence[NewsProcess]) -> NewsProcess:
    """One of them that fetches, waited for."""
    found: list[NewsProcess] = []

    def there_is() -> bool:
        found[:] = [one for one in players if active(one)]
        return bool(found)

    wait_until(there_is, "one that fetches")
    return found[0]


async def links(server: StreamServer) -> Counter[str]:
    """How often each link was published."""
    async with Bus.connect(BusConfig(url=server.url)) as bus:
        return Counter([message.event.link async for message in bus.replay(NEWS_RAW, "0")])


async def reported(server: StreamServer) -> list[tuple[str, Severity]]:
    """The system events so far."""
    async with Bus.connect(BusConfig(url=server.url)) as bus:
        return [
            (message.event.kind, message.event.severity)
            async for message in bus.replay(SYSTEM_EVENTS, "0")
        ]


def recorded() -> Counter[str]:
    """The links of the sample, once each."""
    lines = SAMPLE_FILE.read_text().splitlines()
    return Counter({normalise_link(json.loads(line)["link"]) for line in lines})


async def test_players_of_a_recording_that_are_killed_skip_nothing_and_repeat_nothing(
    server: StreamServer, start: Start
) -> None:
    play = {
        "NEWS_SOURCE": "recorded",
        "NEWS_RECORDING_SPEED": "100",
        "NEWS_INTERVAL_SECONDS": "0.05",
    }
    players = [start(**play) for _ in range(3)]
    for count in (12, 24):
        wait_until(lambda least=count: server.ask("XLEN", NEWS_RAW.key) >= least, "articles")  # type: ignore[misc]
        holder = the_active(players)
        holder.kill()
        players.remove(holder)
    (first,) = players
    heard(first, "recording over")
    wait_until(lambda: server.ask("XLEN", NEWS_RAW.key) >= len(recorded()), "the last article")
    assert first.stop() == 0
    assert await links(server) == recorded()


async def test_a_fetcher_that_was_frozen_while_another_took_over_steps_back_when_it_wakes(
    server: StreamServer, start: Start
) -> None:
    play = {"NEWS_INTERVAL_SECONDS": "0.05"}
    frozen = start(**play)
    heard(frozen, "round done")
    other = start(**play)
    heard(other, "started")
    frozen.signal(signal.SIGSTOP)
    heard(other, "round done")
    frozen.signal(signal.SIGCONT)
    wait_until(lambda: not active(frozen), "the frozen one to step back")
    assert active(other)
    assert (frozen.stop(), other.stop()) == (0, 0)
    assert set((await links(server)).values()) == {1}


async def test_a_round_is_not_due_again_because_another_process_takes_over(
    server: StreamServer, api: EodhdThread, start: Start
) -> None:
    first = start(**asking(api))
    heard(first, "round done")
    asked = len(api.api.news)
    first.kill()
    second = start(**asking(api))
    due = heard(second, "fetching")["next_round"]
    assert due != "now"
    assert len(api.api.news) == asked == 2
    assert second.stop() == 0
    assert len(await links(server)) == 20


async def test_a_used_up_quota_is_told_once_and_nothing_is_asked_even_after_a_restart(
    server: StreamServer, api: EodhdThread, start: Start
) -> None:
    api.api.always = quota_gone()
    first = start(**asking(api))
    heard(first, "quota exhausted")
    assert len(api.api.news) == 1, "the other ticker is not asked about any more"
    wait_until(lambda: first.metrics().total("news_quota_exhausted") == 1, "the metric")
    assert first.metrics().total("news_quota_left_calls") == 0
    assert first.ask("readyz").status_code == 200
    first.kill()
    second = start(**asking(api))
    due = datetime.fromisoformat(heard(second, "fetching")["next_round"])
    assert due.hour == 0
    assert second.metrics().total("news_quota_exhausted") == 1
    assert second.stop() == 0
    assert len(api.api.news) == 1
    assert [line["event"] for line in second.log].count("quota exhausted") == 0
    assert await reported(server) == [("news-quota-exhausted", Severity.WARNING)]


async def test_a_refused_key_is_reported_once_and_asked_with_again_by_command_only(
    server: StreamServer, api: EodhdThread, start: Start
) -> None:
    wrong = asking(api, EODHD_API_KEY=OTHER_KEY)
    first = start(**wrong)
    line = heard(first, "key refused, nothing is asked any more")
    assert line["level"] == "error"
    wait_until(lambda: first.ask("readyz").status_code == 503, "to be not ready")
    why = first.ask("readyz").json()["checks"]["key"]
    assert "EODHD_API_KEY" in why
    wait_until(lambda: not active(first), "to let the lease go")
    second = start(**wrong)
    heard(second, "key refused, nothing is asked")
    assert second.ask("readyz").status_code == 503
    assert len(api.api.news) == 1, "neither the other ticker nor the other process asks"
    assert await reported(server) == [("news-key-refused", Severity.CRITICAL)]

    api.call(setattr, api.api, "key", OTHER_KEY)  # the account is repaired
    by_command = start("fetch", **wrong)
    assert by_command.wait() == 0
    again = the_active([first, second])
    assert again.ask("readyz").status_code == 200
    for process in (first, second, by_command):
        assert OTHER_KEY not in json.dumps(process.log)


async def test_another_key_is_asked_with_after_one_that_was_refused(
    server: StreamServer, api: EodhdThread, start: Start
) -> None:
    first = start(**asking(api, EODHD_API_KEY=OTHER_KEY))
    heard(first, "key refused, nothing is asked any more")
    first.kill()
    second = start(**asking(api))
    assert heard(second, "round done")["published"] == 20
    assert second.stop() == 0
    assert "refused_key" not in json.loads(server.ask("GET", "news:fetcher:eodhd"))


async def test_without_redis_nothing_is_asked_and_all_goes_on_when_it_is_back(
    server: StreamServer, api: EodhdThread, start: Start
) -> None:
    server.kill()
    process = start(**asking(api))
    heard(process, "redis lost")
    assert api.api.requests == []
    server.start()
    assert heard(process, "round done")["published"] == 20
    assert process.stop() == 0


def result_of(process: NewsProcess) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
    """Exit code, articles and sum of a `fetch`."""
    code = process.wait()
    *articles, last = process.log
    return code, articles, last


async def test_fetching_once_prints_what_it_published_and_what_came_of_it(
    server: StreamServer, api: EodhdThread, start: Start
) -> None:
    code, articles, last = result_of(start("fetch", **asking(api)))
    assert code == 0
    assert [one["title"] for one in articles] == [
        f"Story {n}: profit beats estimates" for n in reversed(range(20))
    ]
    assert last == {
        "fetched": 20,
        "published": 20,
        "duplicates": 0,
        "invalid": {},
        "failed": {},
        "calls": 20,
        "calls_left": 99_980,
    }
    code, articles, last = result_of(start("fetch", **asking(api)))
    assert (code, articles, last["published"], last["duplicates"]) == (0, [], 0, 20)
    assert len(await links(server)) == 20


def test_fetching_once_fails_where_something_failed_and_says_what(
    api: EodhdThread, start: Start
) -> None:
    api.api.always = quota_gone()
    code, articles, last = result_of(start("fetch", **asking(api)))
    assert (code, articles) == (1, [])
    assert last["failed"] == {"AAPL.US": "quota-exhausted"}
    assert "used up" in last["error"]
    assert last["calls_left"] == 0


def test_fetching_once_leaves_the_source_to_a_fetcher_that_is_active(
    api: EodhdThread, start: Start
) -> None:
    service = start(**asking(api))
    heard(service, "round done")
    asked = len(api.api.news)
    code, articles, last = result_of(start("fetch", **asking(api)))
    assert (code, articles) == (1, [])
    assert "another fetcher is active" in last["error"]
    assert len(api.api.news) == asked


def test_fetching_once_with_a_bad_setting_says_so_in_one_line(start: Start) -> None:
    process = start("fetch", NEWS_SOURCE="eodhd")
    assert process.wait() == 2
    assert [line["event"].strip() for line in process.log] == [
        "news-fetcher: EODHD_API_KEY is not set: NEWS_SOURCE=eodhd asks with it"
    ]
