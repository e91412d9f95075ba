"""Looking at a bus on a real server: what was published, its readers, its health."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streamdesk.bus import Bus, BusConfig, Message
from streamdesk.console.__main__ import run
from streamdesk.contracts.base import Topic
from streamdesk.contracts.events import BarClosed, RiskAlerted, Side, SignalGenerated, SignalType

NOW = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
GROUP = "order-executors"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def look(topics: dict[str, Topic[Any]], valkey_url: str, capsys: Capture) -> Callable[..., str]:
    """`look("bus", "lag", ...)` on the server; gives what is printed."""
    assert topics

    def do(*words: str) -> str:
        capsys.readouterr()
        code = run([*words, "--url", valkey_url])
        captured = capsys.readouterr()
        assert (code, captured.err) == (0, "")
        return captured.out

    return do


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def signal(score: int, symbol: str = "AAPL.US") -> SignalGenerated:
    return SignalGenerated(
        symbol=symbol,
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


def bar(symbol: str, close: float) -> BarClosed:
    return BarClosed(
        symbol=symbol,
        timestamp=NOW,
        interval_seconds=60,
        open=close,
        high=close,
        low=close,
        close=close,
        volume=0,
    )


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Bus]:
    async with Bus.connect(BusConfig(url=url, service="test", instance="one")) as bus:
        yield bus


async def publish(url: str, topic: Topic[Any], *events: Any) -> list[str]:
    async with connected(url) as bus:
        return await bus.publish_many(topic, events)


def test_a_replay_prints_what_was_published_and_takes_nothing_from_a_group(
    topics: dict[str, Topic[Any]], valkey_url: str, look: Callable[..., str]
) -> None:
    asyncio.run(publish(valkey_url, topics["signals"], signal(30), signal(90, "700.HK")))
    found = lines(look("bus", "replay", "signals", "--since", "0"))
    assert sorted(line["event"]["score"] for line in found) == [30, 90]
    assert {line["type"] for line in found} == {"SignalGenerated"}
    (lag,) = json.loads(look("bus", "lag", "--topic", "signals", "--json"))
    assert (lag["waiting"], lag["pending"]) == (2, 0)


def test_a_replay_can_be_narrowed_to_what_is_about_one_thing(
    topics: dict[str, Topic[Any]], valkey_url: str, look: Callable[..., str]
) -> None:
    asyncio.run(
        publish(valkey_url, topics["bars"], *(bar(f"S{i % 3}.US", i + 1) for i in range(9)))
    )
    found = lines(look("bus", "replay", "bars", "--since", "0", "--key", "S1.US"))
    assert [line["event"]["close"] for line in found] == [2, 5, 8]
    assert {line["key"] for line in found} == {"S1.US"}
    limited = lines(look("bus", "replay", "bars", "--since", "10m", "--limit", "4"))
    assert [line["event"]["close"] for line in limited] == [1, 2, 3, 4]


def test_a_replay_can_be_narrowed_to_a_type(
    topics: dict[str, Topic[Any]], valkey_url: str, look: Callable[..., str]
) -> None:
    asyncio.run(publish(valkey_url, topics["risk"], alert("NEAR")))
    words = ("bus", "replay", "risk", "--since", "0", "--type")
    assert len(lines(look(*words, "RiskAlerted"))) == 1
    assert run([*words, "BarClosed"]) == 2


def alert(code: str) -> RiskAlerted:
    return RiskAlerted.model_validate(
        {
            "code": code,
            "severity": "warning",
            "message": "4 of 5",
            "value": 4,
            "limit": 5,
            "timestamp": NOW,
        }
    )


def test_a_replay_has_a_beginning_and_an_end_which_are_part_of_it(
    topics: dict[str, Topic[Any]], valkey_url: str, look: Callable[..., str]
) -> None:
    codes = ("FIRST", "SECOND", "THIRD")
    ids = asyncio.run(publish(valkey_url, topics["risk"], *map(alert, codes)))

    def seen(*words: str) -> list[str]:
        found = lines(look("bus", "replay", "risk", *words))
        return [line["event"]["code"] for line in found]

    assert seen("--since", ids[1]) == ["SECOND", "THIRD"]
    assert seen("--since", ids[0], "--until", ids[1]) == ["FIRST", "SECOND"]
    assert seen("--since", "10m") == list(codes)
    hours_ago = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    assert seen("--since", hours_ago, "--until", "1h") == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("risk",), "Missing option '--since'"),
        (("risk", "--since", "yesterday"), "--since is 'yesterday'; expected a time with its zone"),
        (("risk", "--since", "2026-11-21T09:00"), "as in 2026-11-21T09:00Z"),
        (("risk", "--since", "1h", "--until", "soon"), "--until is 'soon'"),
        (("risk", "--since", "1h", "--until", "2h"), "--until 2h lies before --since 1h"),
        (("risk", "--since", "1h", "--type", "Bar"), "there are RiskAlerted"),
        (("rusk", "--since", "1h"), "no topic is called 'rusk'"),
    ],
)
def test_a_replay_that_cannot_be_meant_is_explained_in_one_line(
    words: tuple[str, ...], says: str, capsys: Capture
) -> None:
    assert run(["bus", "replay", *words, "--url", "memory://x"]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_reader_that_has_seen_enough_ends_the_replay_without_a_complaint(
    topics: dict[str, Topic[Any]], valkey_url: str
) -> None:
    events = [bar("AAPL.US", number + 1) for number in range(5_000)]
    asyncio.run(publish(valkey_url, topics["bars"], *events))
    words = ("bus", "replay", "bars", "--since", "0", "--url", valkey_url)
    with subprocess.Popen(
        [sys.executable, "-m", "streamdesk.console", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = json.loads(process.stdout.readline())
        process.stdout.close()
        process.wait(60)
        assert first["event"]["close"] == 1
        assert process.stderr.read() == ""


def test_lag_shows_each_stream_of_a_topic_by_itself(
    topics: dict[str, Topic[Any]], valkey_url: str, look: Callable[..., str]
) -> None:
    asyncio.run(publish(valkey_url, topics["signals"], signal(90), signal(90), signal(30)))
    out = look("bus", "lag", "--topic", "signals", "--streams")
    rows = {line.split()[2]: line.split()[3:] for line in out.splitlines() if GROUP in line}
    key = topics["signals"].key
    assert rows[f"{{{key}}}:90"] == ["2", "2", "0"]
    assert rows[f"{{{key}}}:30"] == ["1", "1", "0"]
    assert rows[f"{{{key}}}:0"] == ["0", "0", "0"]


async def test_lag_shows_each_consumer_with_what_it_holds_and_whether_it_is_alive(
    topics: dict[str, Topic[Any]], valkey_url: str, look: Callable[..., str]
) -> None:
    begun, release, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hold(_message: Message[SignalGenerated]) -> None:
        begun.set()
        await release.wait()

    async with connected(valkey_url) as bus, asyncio.TaskGroup() as group:
        await bus.publish(topics["signals"], signal(60))
        subscription = bus.subscribe(topics["signals"], GROUP, hold)
        group.create_task(subscription.run(stop))
        await begun.wait()
        words = ("bus", "lag", "--topic", "signals", "--consumers")
        table = await asyncio.to_thread(look, *words)
        (lag,) = json.loads(await asyncio.to_thread(look, *words, "--json"))
        release.set()
        stop.set()
    (row,) = lag["members"]
    assert (row["name"], row["pending"], row["active"]) == (subscription.consumer, 1, True)
    assert row["idle_seconds"] >= 0
    line = next(line for line in table.splitlines() if subscription.consumer in line)
    assert line.split()[-1] == "active"
    assert "no group has a consumer" in await asyncio.to_thread(look, *words)


def test_health_shows_the_five_types_and_their_readers(
    topics: dict[str, Topic[Any]], valkey_url: str, look: Callable[..., str]
) -> None:
    asyncio.run(publish(valkey_url, topics["signals"], signal(60), signal(30)))
    found = json.loads(look("bus", "health", "--json"))
    assert found["connected"] is True
    assert list(found["types"]) == [
        "market_data",
        "trading_signal",
        "risk_alert",
        "strategy_update",
        "system_event",
    ]
    signals = found["types"]["trading_signal"]
    assert (signals["added"], signals["groups"][0]["group"]) == (2, GROUP)
    assert (signals["groups"][0]["waiting"], signals["groups"][0]["active_consumers"]) == (2, 0)
    assert found["types"]["market_data"]["groups"] == []
    table = look("bus", "health")
    row = next(line for line in table.splitlines() if "TRADING_SIGNAL" in line)
    assert row.split()[:7] == ["TRADING_SIGNAL", "2", "2", "0", GROUP, "0", "2"]


def test_health_without_a_server_fails_with_one_line(capsys: Capture) -> None:
    assert run(["bus", "health", "--url", "redis://127.0.0.1:1/0"]) == 1
    assert capsys.readouterr().err == "streamdesk: Redis does not answer; is the server up?\n"


def test_the_asyncapi_document_has_the_keys_that_are_set(
    topics: dict[str, Topic[Any]], capsys: Capture
) -> None:
    assert run(["bus", "asyncapi"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["asyncapi"].startswith("3.")
    assert document["channels"]["bars"]["address"] == topics["bars"].key
    assert set(document["channels"]) == set(topics)
