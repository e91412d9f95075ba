"""The recent events a new subscriber is shown."""

from streamdesk.websocket_gateway.domain.frames import EventFrame
from streamdesk.websocket_gateway.domain.history import ChannelHistory


def frame(name: str, *channels: str, event: str = "SignalGenerated", size: int = 10) -> EventFrame:
    return EventFrame(channels, event, name, size)


def bar(name: str, symbol: str) -> EventFrame:
    return frame(name, f"events:market:{symbol}", "events:market", event="BarClosed")


def state(name: str, symbol: str) -> EventFrame:
    channels = (f"events:indicators:{symbol}", "events:indicators")
    return EventFrame(channels, "HamaChanged", name, 10, f"hama:{symbol}", is_state=True)


def names(frames: list[EventFrame]) -> list[str]:
    return [frame.live for frame in frames]


def test_the_newest_of_each_type_are_kept() -> None:
    history = ChannelHistory(events=2, bars=2)
    for number in range(4):
        history.add(frame(f"s{number}", "events:signals"))
    history.add(frame("o", "events:orders", event="OrderFilled"))
    assert names(history.replay(["events:signals", "events:orders"], [])) == ["s2", "s3", "o"]


def test_the_whole_market_replays_the_last_bar_of_each_instrument() -> None:
    history = ChannelHistory(events=9, bars=9)
    for number in range(3):
        history.add(bar(f"a{number}", "AAPL.US"))
        history.add(bar(f"m{number}", "MSFT.US"))
    assert names(history.replay(["events:market"], [])) == ["a2", "m2"]


def test_one_instrument_replays_all_its_bars() -> None:
    history = ChannelHistory(events=9, bars=2)
    for number in range(3):
        history.add(bar(f"a{number}", "AAPL.US"))
        history.add(bar(f"m{number}", "MSFT.US"))
    assert names(history.replay(["events:market:AAPL.US"], [])) == ["a1", "a2"]


def test_an_instrument_after_the_market_replays_what_the_market_omitted() -> None:
    history = ChannelHistory(events=9, bars=9)
    for number in range(3):
        history.add(bar(f"a{number}", "AAPL.US"))
    again = history.replay(["events:market:AAPL.US"], ["events:market"])
    assert names(again) == ["a0", "a1"]


def test_what_a_subscriber_had_is_not_repeated() -> None:
    history = ChannelHistory(events=9, bars=9)
    history.add(frame("t", "events:task:1", "events:tasks", event="TaskProgressed"))
    assert names(history.replay(["events:task:1", "events:tasks"], [])) == ["t"]
    assert history.replay(["events:task:1"], ["events:tasks"]) == []


def test_bytes_and_the_number_of_rings_are_bounded() -> None:
    history = ChannelHistory(events=100, bars=100, ring_bytes=25, max_rings=2)
    for number in range(5):
        history.add(frame(f"s{number}", "events:signals"))
    assert names(history.replay(["events:signals"], [])) == ["s3", "s4"]
    history.add(bar("a", "AAPL.US"))
    history.add(bar("m", "MSFT.US"))
    assert history.replay(["events:signals"], []) == []


def test_the_last_state_of_each_instrument_is_kept_however_many_events_follow() -> None:
    history = ChannelHistory(events=2, bars=2, max_rings=2)
    history.add(state("btc 1", "BTCUSDT"))
    history.add(state("aapl 1", "AAPL.US"))
    history.add(state("btc 2", "BTCUSDT"))
    for number in range(50):
        history.add(frame(f"s{number}", "events:signals"))
        history.add(bar(f"b{number}", f"S{number}.US"))
    assert names(history.replay(["events:indicators"], [])) == ["aapl 1", "btc 2"]
    assert names(history.replay(["events:indicators:AAPL.US"], [])) == ["aapl 1"]
    assert history.replay(["events:indicators:AAPL.US"], ["events:indicators"]) == []


def test_states_are_bounded_and_the_one_that_changed_longest_ago_is_dropped() -> None:
    history = ChannelHistory(events=2, bars=2, max_states=2)
    for name, symbol in (("a1", "A.US"), ("b1", "B.US"), ("a2", "A.US"), ("c1", "C.US")):
        history.add(state(name, symbol))
    assert names(history.replay(["events:indicators"], [])) == ["a2", "c1"]
    assert len(history) == 2
