"""The bounded queue of one socket."""

from hypothesis import given
from hypothesis import strategies as st

from streamdesk.websocket_gateway.domain.frames import EventFrame
from streamdesk.websocket_gateway.domain.outbox import ClientOutbox, Offer


def drained(outbox: ClientOutbox) -> list[str]:
    texts = []
    while (text := outbox.pop()) is not None:
        texts.append(text)
    return texts


def test_texts_leave_in_the_order_of_arrival() -> None:
    outbox = ClientOutbox(10, 1_000)
    for text in "abc":
        assert outbox.put(text, 1) is Offer.QUEUED
    assert drained(outbox) == ["a", "b", "c"]
    assert (outbox.messages, outbox.bytes) == (0, 0)


def test_a_full_queue_of_orders_overflows() -> None:
    outbox = ClientOutbox(2, 1_000)
    outbox.put("order 1", 7)
    outbox.put("order 2", 7)
    assert outbox.put("order 3", 7) is Offer.OVERFLOW


def test_bytes_bound_the_queue_as_messages_do() -> None:
    outbox = ClientOutbox(10, 10)
    assert outbox.put("12345678", 8) is Offer.QUEUED
    assert outbox.put("123", 3) is Offer.OVERFLOW


def test_a_new_bar_replaces_the_oldest_of_its_symbol() -> None:
    outbox = ClientOutbox(3, 1_000)
    outbox.put("AAPL 1", 6, "bar:AAPL")
    outbox.put("MSFT 1", 6, "bar:MSFT")
    outbox.put("order", 5)
    assert outbox.put("MSFT 2", 6, "bar:MSFT") is Offer.CONFLATED
    assert drained(outbox) == ["AAPL 1", "order", "MSFT 2"]
    assert outbox.dropped == 1


def test_a_bar_of_another_symbol_replaces_the_oldest_bar() -> None:
    outbox = ClientOutbox(2, 1_000)
    outbox.put("order", 5)
    outbox.put("AAPL 1", 6, "bar:AAPL")
    outbox.put("MSFT 1", 6, "bar:MSFT")
    assert drained(outbox) == ["order", "MSFT 1"]


def test_an_order_replaces_bars_before_it_overflows() -> None:
    outbox = ClientOutbox(2, 1_000)
    outbox.put("AAPL 1", 6, "bar:AAPL")
    outbox.put("MSFT 1", 6, "bar:MSFT")
    assert outbox.put("order 1", 7) is Offer.CONFLATED
    assert outbox.put("order 2", 7) is Offer.CONFLATED
    assert outbox.put("order 3", 7) is Offer.OVERFLOW
    assert drained(outbox) == ["order 1", "order 2"]


def test_a_bar_that_finds_only_orders_is_dropped_and_counted() -> None:
    outbox = ClientOutbox(1, 1_000)
    outbox.put("order", 5)
    assert outbox.put("AAPL 1", 6, "bar:AAPL") is Offer.CONFLATED
    assert drained(outbox) == ["order"]
    assert outbox.dropped == 1


def test_replayed_frames_do_not_count_and_are_marked() -> None:
    outbox = ClientOutbox(1, 50)
    frame = EventFrame(("events:system",), "SystemEvent", '{"type":"event","channel":"x"}', 30)
    outbox.put_replay([frame, frame])
    assert outbox.put("live", 4) is Offer.QUEUED
    replayed = '{"type":"event","replayed":true,"channel":"x"}'
    assert drained(outbox) == [replayed, replayed, "live"]


def test_a_client_that_replays_the_history_again_and_again_without_reading_overflows() -> None:
    outbox = ClientOutbox(10, 1_000)
    frames = [EventFrame(("events:system",), "SystemEvent", '{"type":"event","x":1}', 22)] * 20_000
    assert [outbox.put_replay(frames) for _ in range(3)] == [
        Offer.QUEUED,
        Offer.QUEUED,
        Offer.OVERFLOW,
    ]


def test_a_state_is_dropped_for_a_newer_one_of_its_key_only() -> None:
    outbox = ClientOutbox(2, 1_000)
    outbox.put("BTC bullish", 11, "hama:BTC", is_state=True)
    outbox.put("AAPL 1", 6, "bar:AAPL")
    assert outbox.put("BTC bearish", 11, "hama:BTC", is_state=True) is Offer.CONFLATED
    assert outbox.put("MSFT 1", 6, "bar:MSFT") is Offer.CONFLATED
    assert outbox.put("order", 5) is Offer.CONFLATED
    assert outbox.put("GOOG 1", 6, "bar:GOOG") is Offer.CONFLATED
    assert drained(outbox) == ["BTC bearish", "order"]


def test_a_state_displaces_bars_and_is_never_lost_itself() -> None:
    outbox = ClientOutbox(2, 1_000)
    outbox.put("AAPL 1", 6, "bar:AAPL")
    outbox.put("order", 5)
    assert outbox.put("BTC bullish", 11, "hama:BTC", is_state=True) is Offer.CONFLATED
    assert outbox.put("ETH bullish", 11, "hama:ETH", is_state=True) is Offer.OVERFLOW
    assert drained(outbox) == ["order", "BTC bullish"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "pop"]), st.sampled_from([None, "a", "b", "S", "T"])),
        max_size=200,
    )
)
def test_the_totals_agree_with_the_queue_after_any_sequence(
    steps: list[tuple[str, str | None]],
) -> None:
    outbox = ClientOutbox(5, 40)
    put = taken = refused = 0
    for kind, key in steps:
        if kind == "put":
            put += 1
            size, is_state = 1 + put % 12, key in {"S", "T"}
            refused += outbox.put("text", size, key, is_state=is_state) is Offer.OVERFLOW
        else:
            taken += outbox.pop() is not None
        assert outbox.messages == len(outbox) <= 5
        assert 0 <= outbox.bytes <= 40
    left = len(drained(outbox))
    assert put == taken + refused + outbox.dropped + left
    assert (outbox.messages, outbox.bytes) == (0, 0)
