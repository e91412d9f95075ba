import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from streamdesk.bus import Bus, BusConfig, Dead, Message
from streamdesk.console.__main__ import run
from streamdesk.contracts.base import Topic
from streamdesk.contracts.events import NewsFetched, Side, SignalGenerated, SignalType

NOW = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
Capture = pytest.CaptureFixture[str]


def signal(score: int) -> SignalGenerated:
    return SignalGenerated(
        symbol="AAPL.US",
        type=SignalType.BUY,
        side=Side.BUY,
        score=score,
        strength=0.5,
        price=100.0,
        reasons=(),
        indicators={},
        strategy="test",
        timestamp=NOW,
        priority=score,
        queued_at=NOW,
    )


def article() -> NewsFetched:
    return NewsFetched(
        link_hash="0" * 32,
        title="Title",
        link="https://news.example/a",
        source="test",
        published_at=NOW,
        fetched_at=NOW,
    )


async def put_aside(url: str, topics: dict[str, Topic[Any]], signals_dead: int = 2) -> None:
    """Two more signals and an article die, and whatever else waits."""
    signals_topic, news_topic = topics["signals"], topics["news_raw"]
    async with Bus.connect(BusConfig(url=url)) as bus:
        await bus.publish_many(signals_topic, [signal(30), signal(60)])
        await bus.publish(news_topic, article())

        async def bury_signal(message: Message[SignalGenerated]) -> Dead:
            return Dead("no-price" if message.event.score > 50 else "no-symbol", "in a test")

        async def bury_article(_message: Message[NewsFetched]) -> Dead:
            return Dead("no-title", "in a test")

        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            signals = bus.subscribe(signals_topic, signals_topic.groups[0], bury_signal)
            news = bus.subscribe(news_topic, news_topic.groups[0], bury_article)
            group.create_task(signals.run(stop))
            group.create_task(news.run(stop))
            async with asyncio.timeout(30):
                while len(await bus.dead(signals_topic)) < signals_dead or not await bus.dead(
                    news_topic
                ):
                    await asyncio.sleep(0.01)
            stop.set()


@pytest.fixture(params=["memory", "valkey"])
def url(request: pytest.FixtureRequest, topics: dict[str, Topic[Any]]) -> str:
    """A bus with three dead letters."""
    if request.param == "memory":
        url = f"memory://{uuid4().hex}"
    else:
        url = str(request.getfixturevalue("valkey_url"))
    asyncio.run(put_aside(url, topics))
    return url


def listed(url: str, capsys: Capture, *options: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert run(["bus", "dead", "list", "--json", "--url", url, *options]) == 0
    letters: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return letters


def lag(url: str, capsys: Capture, topic: str) -> dict[str, int]:
    capsys.readouterr()
    assert run(["bus", "lag", "--json", "--url", url, "--topic", topic]) == 0
    rows: list[dict[str, int]] = json.loads(capsys.readouterr().out)
    return rows[0]


def test_dead_letters_are_listed_with_topic_and_reason(url: str, capsys: Capture) -> None:
    assert run(["bus", "dead", "--url", url]) == 0
    out = capsys.readouterr().out
    for word in ("no-price", "no-symbol", "no-title", "signals", "news_raw", "in a test"):
        assert word in out


@pytest.mark.parametrize(
    ("options", "reasons"),
    [
        (("--topic", "signals"), {"no-price", "no-symbol"}),
        (("--reason", "no-price"), {"no-price"}),
        (("--topic", "news_raw", "--reason", "no-price"), set()),
        (("--group", "news-filter-group"), {"no-title"}),
        (("--type", "SignalGenerated"), {"no-price", "no-symbol"}),
        (("--contains", '"score":60'), {"no-price"}),
        (("--contains", "in a test", "--type", "NewsFetched"), {"no-title"}),
        (("--since", "1h"), {"no-price", "no-symbol", "no-title"}),
        (("--until", "1h"), set()),
        (("--since", "2h", "--until", "1h"), set()),
    ],
)
def test_a_list_can_be_narrowed(
    options: tuple[str, ...], reasons: set[str], url: str, capsys: Capture
) -> None:
    assert {letter["reason"] for letter in listed(url, capsys, *options)} == reasons


def test_a_limit_holds_over_all_topics(url: str, capsys: Capture) -> None:
    assert len(listed(url, capsys, "--limit", "2")) == 2


def test_one_letter_is_shown_whole(url: str, capsys: Capture) -> None:
    letter = listed(url, capsys, "--reason", "no-price")[0]
    assert run(["bus", "dead", "show", letter["id"], "--url", url]) == 0
    assert json.loads(capsys.readouterr().out)["body"] == letter["body"]


def test_redriven_letters_wait_in_the_queue_again(url: str, capsys: Capture) -> None:
    assert run(["bus", "dead", "redrive", "--topic", "signals", "--url", url]) == 0
    assert capsys.readouterr().out == "2 put back\n"
    assert lag(url, capsys, "signals")["waiting"] == 2
    assert {letter["reason"] for letter in listed(url, capsys)} == {"no-title"}


def test_a_dry_run_says_what_would_happen_and_does_nothing(url: str, capsys: Capture) -> None:
    assert run(["bus", "dead", "redrive", "--dry-run", "--url", url]) == 0
    assert "3 would be put back" in capsys.readouterr().out
    assert len(listed(url, capsys)) == 3


def test_letters_are_redriven_by_id_or_reason(url: str, capsys: Capture) -> None:
    letter = listed(url, capsys, "--reason", "no-price")[0]
    assert run(["bus", "dead", "redrive", letter["id"], "--topic", "signals", "--url", url]) == 0
    assert run(["bus", "dead", "redrive", "--reason", "no-title", "--url", url]) == 0
    assert {letter["reason"] for letter in listed(url, capsys)} == {"no-symbol"}


def test_letters_are_redriven_by_what_is_in_them(url: str, capsys: Capture) -> None:
    narrowed = ["--contains", "https://news.example/a", "--since", "1h", "--rate", "1000"]
    assert run(["bus", "dead", "redrive", *narrowed, "--url", url]) == 0
    assert capsys.readouterr().out == "1 put back\n"
    assert {letter["reason"] for letter in listed(url, capsys)} == {"no-price", "no-symbol"}


def test_a_redrive_stops_at_its_limit_over_all_topics(url: str, capsys: Capture) -> None:
    assert run(["bus", "dead", "redrive", "--limit", "2", "--url", url]) == 0
    assert capsys.readouterr().out == "2 put back\n"
    assert len(listed(url, capsys)) == 1


def test_a_letter_that_keeps_coming_back_is_left(
    url: str, topics: dict[str, Topic[Any]], capsys: Capture
) -> None:
    signals = ["--topic", "signals", "--url", url]
    assert run(["bus", "dead", "redrive", "--max-replays", "1", *signals]) == 0
    assert capsys.readouterr().out == "2 put back\n"
    asyncio.run(put_aside(url, topics, 4))
    assert sorted(letter["replays"] for letter in listed(url, capsys, "--topic", "signals")) == [
        0, 0, 1, 1,
    ]  # fmt: skip
    assert run(["bus", "dead", "redrive", "--max-replays", "1", *signals]) == 0
    assert capsys.readouterr().out == "2 put back\n2 left, put back too often already\n"


@pytest.mark.parametrize("action", ["list", "redrive", "purge"])
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--since", "yesterday"), "--since is 'yesterday'; expected a time with its zone"),
        (("--until", "1763712000000-0"), "--until is '1763712000000-0'; expected a time"),
        (("--since", "1h", "--until", "2h"), "--until 2h lies before --since 1h"),
    ],
)
def test_a_time_that_cannot_be_meant_is_explained_before_anything_is_done(
    action: str, words: tuple[str, ...], says: str, capsys: Capture
) -> None:
    assert run(["bus", "dead", action, *words, "--url", "memory://x"]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_an_unknown_id_is_an_error_and_the_known_ones_are_done(url: str, capsys: Capture) -> None:
    signals = ["--topic", "signals"]
    letter = listed(url, capsys, *signals)[0]
    assert run(["bus", "dead", "redrive", letter["id"], "1-0", "--url", url, *signals]) == 1
    captured = capsys.readouterr()
    assert captured.out == "1 put back\n"
    assert "1-0" in captured.err


def test_purged_letters_are_gone_for_good(url: str, capsys: Capture) -> None:
    assert run(["bus", "dead", "purge", "--topic", "signals", "--url", url]) == 0
    assert capsys.readouterr().out == "2 deleted\n"
    assert lag(url, capsys, "signals")["waiting"] == 0
    assert run(["bus", "dead", "purge", "--all", "--url", url]) == 0
    assert listed(url, capsys) == []


def test_a_purge_can_be_narrowed_and_tried_first(url: str, capsys: Capture) -> None:
    words = ["bus", "dead", "purge", "--type", "SignalGenerated", "--limit", "1", "--url", url]
    assert run([*words, "--dry-run"]) == 0
    assert capsys.readouterr().out.endswith("1 would be deleted\n")
    assert len(listed(url, capsys)) == 3
    assert run(words) == 0
    assert capsys.readouterr().out == "1 deleted\n"
    assert len(listed(url, capsys, "--type", "SignalGenerated")) == 1


def test_a_tail_prints_events_from_the_beginning_up_to_its_limit(url: str, capsys: Capture) -> None:
    options = ["--since", "0", "--url", url]
    assert run(["bus", "tail", "signals", "--limit", "2", "--json", *options]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(line["event"]["score"] for line in lines) == [30, 60]
    assert run(["bus", "tail", "news_raw", "--limit", "1", *options]) == 0
    assert "NewsFetched" in capsys.readouterr().out
