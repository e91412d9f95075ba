import io
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from rich.console import Console

from streamdesk.bus import Bus, BusConfig, GroupLag, Message
from streamdesk.console.adapters.terminal import tables
from streamdesk.console.application.watch_queue import Monitor, frame
from streamdesk.console.domain.queue import QueueFrame, QueueRates
from streamdesk.contracts.events import Side, SignalGenerated, SignalType
from streamdesk.contracts.topics import TRADING_SIGNALS

NOW = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
GROUP = TRADING_SIGNALS.groups[0]
LAG = GroupLag(
    topic="signals",
    group=GROUP,
    waiting=3,
    pending=2,
    delayed=1,
    dead=4,
    oldest_pending_seconds=12.5,
    consumers=2,
    length=60,
    added=100,
)


def signal(score: float, symbol: str = "AAPL.US") -> SignalGenerated:
    return SignalGenerated(
        symbol=symbol,
        type=SignalType.BUY,
        side=Side.BUY,
        score=score,
        strength=score / 100,
        price=100.0,
        reasons=(),
        indicators={},
        strategy="test",
        timestamp=NOW,
        priority=int(score) // 10 * 10,
        queued_at=NOW,
    )


def waiting(score: float, age_seconds: float) -> Message[SignalGenerated]:
    return Message(
        id="a",
        event=signal(score),
        topic="signals",
        priority=int(score) // 10 * 10,
        published_at=NOW - timedelta(seconds=age_seconds),
    )


def drawn(frame: QueueFrame | None, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(tables.queue(frame, "signals"))
    return out.getvalue()


def test_rates_are_unknown_at_the_first_look() -> None:
    assert QueueRates().add(0.0, added=100, finished=95) == (None, None)


def test_rates_are_what_came_and_what_was_finished_a_second() -> None:
    rates = QueueRates()
    rates.add(0.0, added=100, finished=95)
    assert rates.add(2.0, added=120, finished=110) == (10.0, 7.5)


def test_rates_forget_what_is_older_than_the_window() -> None:
    rates = QueueRates(window_seconds=10)
    rates.add(0.0, added=100, finished=100)
    rates.add(5.0, added=1_100, finished=1_100)
    rates.add(10.0, added=1_100, finished=1_100)
    assert rates.add(16.0, added=1_100, finished=1_100) == (0.0, 0.0)


def test_an_emptied_server_does_not_make_negative_rates() -> None:
    rates = QueueRates()
    rates.add(0.0, added=100, finished=95)
    assert rates.add(1.0, added=3, finished=0) == (None, None)


def test_a_frame_shows_every_figure_and_the_next_signals_in_order() -> None:
    look = frame(LAG, [waiting(85, 0.25), waiting(42, 90)], (10.0, 7.5), NOW)
    picture = drawn(look)
    lines = picture.splitlines()
    assert "10.0" in picture
    assert "7.5" in picture
    assert "12.5 s" in picture
    first, second = (
        next(i for i, line in enumerate(lines) if word in line) for word in ("85.0", "42.0")
    )
    assert first < second
    assert "250 ms" in lines[first]
    assert "1 min 30 s" in lines[second]
    assert lines[first].split()[:3] == ["80", "AAPL.US", "BUY"]


def test_a_frame_is_json_with_the_same_figures() -> None:
    look = frame(LAG, [waiting(85, 0.25)], (None, None), NOW)
    value = json.loads(json.dumps(look.as_dict()))
    assert {name: value[name] for name in ("pending", "processing", "delayed", "failed")} == {
        "pending": 3,
        "processing": 2,
        "delayed": 1,
        "failed": 4,
    }
    assert value["rate_in"] is None
    assert value["top"] == [
        {
            "priority": 80,
            "symbol": "AAPL.US",
            "type": "BUY",
            "score": 85.0,
            "age_seconds": 0.25,
            "attempt": 1,
        }
    ]


def test_an_empty_queue_says_so() -> None:
    assert "nothing waits" in drawn(frame(LAG, [], (0.0, 0.0), NOW))


def test_a_server_that_does_not_answer_is_said_in_the_picture() -> None:
    assert "does not answer" in drawn(None)


def test_the_picture_fits_a_terminal_of_80_columns() -> None:
    look = frame(LAG, [waiting(85, 100_000)] * 3, (12_345.6, 12_345.6), NOW)
    assert max(map(len, drawn(look, width=80).splitlines())) <= 80
    assert "…" not in drawn(look, width=80)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.0004, "0 ms"),
        (0.85, "850 ms"),
        (12.34, "12.3 s"),
        (59.99, "60.0 s"),
        (240, "4 min 0 s"),
        (7_500, "2 h 5 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_an_age_is_shown_in_the_unit_that_fits(seconds: float | None, text: str) -> None:
    assert tables.age(seconds) == text


async def test_the_monitor_sees_the_queue_in_the_order_it_will_be_taken_and_leaves_it() -> None:
    url = f"memory://{uuid4().hex}"
    async with Bus.connect(BusConfig(url=url)) as bus:
        for score in (35, 65, 50):
            await bus.publish(TRADING_SIGNALS, signal(score))
        monitor = Monitor(bus, TRADING_SIGNALS, GROUP, limit=10)
        look = await monitor.look()
        assert [message.score for message in look.top] == [65, 50, 35]
        assert (look.pending, look.processing) == (3, 0)
        again = await monitor.look()
        assert again.pending == 3
        assert again.rate_in == 0


async def test_the_monitor_goes_on_while_the_server_does_not_answer() -> None:
    async with Bus.connect(
        BusConfig(url="redis://127.0.0.1:1/0", socket_timeout_seconds=0.5)
    ) as bus:
        frames = Monitor(bus, TRADING_SIGNALS, GROUP, limit=10).frames(0.01)
        assert [await anext(frames), await anext(frames)] == [None, None]
        await frames.aclose()
