"""What a new subscriber is shown."""

from streamdesk.websocket_gateway.domain.frames import Frame
from streamdesk.websocket_gateway.domain.history import History


def frame(name: str, *channels: str, event: str = "SignalGenerated", size: int = 10) -> Frame:
    return Frame(channels, event, name, size)


def bar(name: str, symbol: str) -> Frame:
    return frame(name, f"events:market:{symbol}", "events:market", event="BarClosed")


def names(frames: list[Frame]) -> list[str]:
    return [frame.live for frame in frames]


def test_the_newest_of_each_type_are_kept() -> None:
    history = History(events=2, bars=2)
    for number in range(4):
        history.add(frame(f"s{number}", "events:signals"))
    history.add(frame("o", "events:orders", event="OrderFilled"))
    assert names(history.replay(["events:signals", "events:orders"], [])) == ["s2", "s3", "o"]


def test_all_the_market_brings_the_last_bar_of_each_instrument() -> None:
    history = History(events=9, bars=9)
    for number in range(3):
        history.add(bar(f"a{number}", "AAPL.US"))
        history.add(bar(f"m{number}", "MSFT.US"))
    assert names(history.replay(["events:market"], [])) == ["a2", "m2"]


def test_one_instrument_brings_all_its_bars() -> None:
    history = History(events=9, bars=2)
    for number in range(3):
        history.add(bar(f"a{number}", "AAPL.US"))
        history.add(bar(f"m{number}", "MSFT.US"))
    assert names(history.replay(["events:market:AAPL.US"], [])) == ["a1", "a2"]


def test_an_instrument_after_the_market_brings_what_the_market_left_out() -> None:
    history = History(events=9, bars=9)
    for number in range(3):
        history.add(bar(f"a{number}", "AAPL.US"))
    again = history.replay(["events:market:AAPL.US"], ["events:market"])
    assert names(again) == ["a0", "a1"]


def test_what_a_subscriber_had_is_not_repeated() -> None:
    history = History(events=9, bars=9)
    history.add(frame("t", "events:task:1", "events:tasks", event="TaskProgressed"))
    assert names(history.replay(["events:task:1", "events:tasks"], [])) == ["t"]
    assert history.replay(["events:task:1"], ["events:tasks"]) == []


def test_bytes_and_the_number_of_rings_are_bounded() -> None:
    history = History(events=100, bars=100, ring_bytes=25, max_rings=2)
    for number in range(5):
        history.add(frame(f"s{number}", "events:signals"))
    assert names(history.replay(["events:signals"], [])) == ["s3", "s4"]
    history.add(bar("a", "AAPL.US"))
    history.add(bar("m", "MSFT.US"))
    assert history.replay(["events:signals"], []) == []
