"""`streamdesk news`: what a person sees of news, and the options of the processes behind it."""

import asyncio
import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from streamdesk.bus import Bus, BusConfig
from streamdesk.console.__main__ import run
from streamdesk.console.adapters.terminal import news_view
from streamdesk.contracts.base import Topic
from streamdesk.contracts.events import NewsFetched, NewsFiltered

NOW = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder, and no server named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REDIS_URL", raising=False)
    return tmp_path


@pytest.fixture
def look(topics: dict[str, Topic[Any]], valkey_url: str, capsys: Capture) -> Callable[..., str]:
    """`look("news", "tail", ...)` on the server; gives what is printed."""
    assert topics

    def do(*words: str) -> str:
        capsys.readouterr()
        code = run([*words, "--url", valkey_url])
        captured = capsys.readouterr()
        assert (code, captured.err) == (0, "")
        return captured.out

    return do


def fetched(title: str = "Apple beats estimates", **changes: Any) -> NewsFetched:
    article = {
        "title": title,
        "content": "",
        "link": f"https://news.example/{title.replace(' ', '-')}",
        "link_hash": f"{abs(hash(title)):032x}",
        "source": "recorded",
        "published_at": NOW,
        "fetched_at": NOW + timedelta(seconds=1),
        "symbols": ("AAPL.US",),
    }
    return NewsFetched.model_validate(article | changes)


def filtered(title: str = "Apple beats estimates", **changes: Any) -> NewsFiltered:
    verdict = {
        "sentiment": 0.74,
        "reason": "sentiment 0.74 > 0.50: beats estimates; about AAPL.US",
        "words": ("beats estimates +2.9",),
        "filtered_at": NOW + timedelta(seconds=2),
    }
    return NewsFiltered.model_validate(fetched(title).model_dump() | verdict | changes)


async def _publish(url: str, topic: Topic[Any], events: tuple[Any, ...]) -> None:
    async with Bus.connect(BusConfig(url=url, service="test", instance="one")) as bus:
        await bus.publish_many(topic, events)


@pytest.fixture
def publish(topics: dict[str, Topic[Any]], valkey_url: str) -> Callable[..., None]:
    """Publishes events on a topic."""

    def do(topic: str, *events: Any) -> None:
        asyncio.run(_publish(valkey_url, topics[topic], events))

    return do


def test_the_tail_shows_what_passed_with_its_sentiment_and_reason(
    look: Callable[..., str], publish: Callable[..., None]
) -> None:
    bad = filtered(
        "Tencent plunges", sentiment=-0.81, reason="sentiment -0.81 < -0.50: plunges",
        symbols=("700.HK", "9988.HK"),
    )  # fmt: skip
    publish("news_filtered", filtered(), bad)
    out = look("news", "tail", "--since", "0", "--limit", "2")
    first, reason, second, *_ = out.splitlines()
    assert first.split()[-5:] == ["AAPL.US", "+0.74", "Apple", "beats", "estimates"]
    assert reason.strip() == "sentiment 0.74 > 0.50: beats estimates; about AAPL.US"
    assert second.split()[-5:] == ["700.HK", "+1", "-0.81", "Tencent", "plunges"]


def test_the_raw_tail_shows_every_article_and_the_sources_own_sentiment(
    look: Callable[..., str], publish: Callable[..., None]
) -> None:
    publish("news_raw", fetched(polarity=0.3), fetched("Nobody knows", symbols=()))
    out = look("news", "tail", "--raw", "--since", "10m", "--limit", "2")
    assert "+0.30 Apple beats estimates" in out
    assert "recorded, " in out
    unknown = next(line for line in out.splitlines() if "Nobody knows" in line)
    assert unknown.split()[-4:] == ["-", "-", "Nobody", "knows"]


def test_a_tail_as_json_has_every_field(
    look: Callable[..., str], publish: Callable[..., None]
) -> None:
    publish("news_filtered", filtered())
    line = json.loads(look("news", "tail", "--since", "0", "--limit", "1", "--json"))
    assert line["type"] == "NewsFiltered"
    assert line["event"]["words"] == ["beats estimates +2.9"]


def test_a_headline_is_shown_as_it_is_and_only_a_web_link_is_one() -> None:
    trap = "[red]up[/] [link=x]"
    assert news_view.headline(trap, "https://news.example/1").plain == trap
    for link, clickable in (("https://news.example/1", True), ("file:///etc", False)):
        out = io.StringIO()
        Console(file=out, force_terminal=True, width=80).print(news_view.headline(trap, link))
        assert (link in out.getvalue()) is clickable


def test_a_round_by_hand_shows_what_is_new_and_what_it_came_to(
    start_server: Callable[..., Any], capsys: Capture
) -> None:
    server = start_server()  # its own: on a shared one another fetcher may be active
    words = ("news", "fetch", "--source", "simulated", "--url", server.url)
    assert run([*words, "--json"]) == 0
    *articles, summary = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(articles) == summary["published"] > 0
    assert summary["failed"] == {}
    assert run(list(words)) == 0
    assert "known before" in capsys.readouterr().out


def test_a_source_that_is_not_set_up_is_one_line_that_says_what_to_do(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.delenv("EODHD_API_KEY", raising=False)
    assert run(["news", "fetch", "--source", "eodhd", "--url", valkey_url]) == 2
    error = capsys.readouterr().err
    assert "EODHD_API_KEY is not set" in error
    assert error.count("\n") == 1


@pytest.fixture
def said() -> Callable[..., str]:
    """What a person reads of a round."""

    def words(**changes: Any) -> str:
        summary = {
            "fetched": 12, "published": 3, "duplicates": 8, "invalid": {}, "failed": {},
            "calls": 120, "calls_left": 99_880,
        }  # fmt: skip
        out = io.StringIO()
        news_view.print_round(Console(file=out, width=160), summary | changes)
        return out.getvalue()

    return words


def test_a_round_is_shown_in_figures(said: Callable[..., str]) -> None:
    head, _, figures, *_ = [line for line in said().splitlines() if line.strip()]
    assert head.split() == [
        *("fetched", "published", "known", "before", "unusable", "failed"),
        *("calls", "calls", "left", "today"),
    ]
    assert figures.split() == ["12", "3", "8", "0", "0", "120", "99,880"]


def test_a_round_names_what_failed_and_what_to_do(said: Callable[..., str]) -> None:
    text = said(
        failed={"AAPL.US": "key-refused", "700.HK": "new-reason", "5.HK": "key-refused"},
        error="status 403",
        invalid={"title-missing": 2},
        calls=None,
        calls_left=None,
    )
    assert "key-refused  AAPL.US, 5.HK: the provider refuses EODHD_API_KEY: set another" in text
    assert "new-reason  700.HK" in text
    assert "status 403" in text
    assert "2: title-missing" in text


def test_why_shows_each_rule_the_one_that_decides_and_the_words(look: Callable[..., str]) -> None:
    out = look("news", "why", "Tencent plunges on fraud", "--ticker", "700.HK")
    assert "is dropped, sentiment-weak" in out
    assert "as you describe it" in out
    decides = next(line for line in out.splitlines() if "← decides" in line)
    assert decides.split()[:2] == ["✗", "sentiment"]
    assert re.search(r"✓ +ticker +about 700\.HK", out)
    assert re.search(r"plunges +-\d\.\d +█+", out)


def test_why_names_the_first_rule_that_fails_as_the_one_that_decides(
    look: Callable[..., str],
) -> None:
    out = look("news", "why", "Something happened", "--ticker", "ZZZ.US", "--age-hours", "30")
    (decides,) = (line for line in out.splitlines() if "← decides" in line)
    assert decides.split()[:2] == ["✗", "age"]
    assert "is dropped, too-old" in out
    assert "it knows none of these words" in out


def test_why_judges_an_article_that_was_fetched_as_it_was_then(
    look: Callable[..., str], publish: Callable[..., None]
) -> None:
    article = fetched(polarity=1.0, published_at=NOW - timedelta(hours=23), fetched_at=NOW)
    publish("news_raw", fetched("Other news"), article)
    out = look("news", "why", "APPLE  beats estimates")
    verdict, title, *_ = (line.strip() for line in out.splitlines())
    assert (verdict, title) == ("✓ passes", "Apple beats estimates")
    assert "as it was when it was fetched from recorded, 2026-11-20" in out
    assert "published 23.0 h ago" in out
    assert "about AAPL.US" in out
    alone = json.loads(look("news", "why", "Apple beats estimates", "--age-hours=0", "--json"))
    assert alone["passed"] is True
    because = {rule["rule"]: rule["because"] for rule in alone["rules"]}
    assert because["ticker"] == "not asked"
    whole = json.loads(look("news", "why", "Apple beats estimates", "--json"))
    assert whole["sentiment"] > alone["sentiment"], "the source's own sentiment counts as well"


@pytest.mark.parametrize("words", [(), ("--url", "redis://127.0.0.1:1/0")])
def test_why_needs_no_server(words: tuple[str, ...], capsys: Capture) -> None:
    assert run(["news", "why", *words, "--", "-1.5% after the bell: misses estimates"]) == 0
    captured = capsys.readouterr()
    assert "the title alone: nothing of this title was fetched here" in captured.out
    assert "misses estimates" in captured.out


def test_what_the_filter_refuses_is_one_line_in_its_own_words(capsys: Capture) -> None:
    assert run(["news", "why", "Title", "--ticker", "ZZZ"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("streamdesk: the filter cannot run: argument --ticker: 'ZZZ' is not")
    assert error.count("\n") == 1
