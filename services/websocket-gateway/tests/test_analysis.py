"""HAMA states and the daily job, for late, slow and fast readers."""

import socket
from datetime import timedelta
from typing import Any

from streamdesk.contracts import topics

STOCKS = 5_000


async def test_a_changed_state_is_seen_on_its_instruments_channel_and_on_the_parent(
    desk: Any, events: Any
) -> None:
    one = await desk.client("?channels=events:indicators:BTCUSDT")
    await one.next("subscribed")
    everything = await desk.client("?channels=events:indicators")
    await everything.next("subscribed")
    await desk.publish(events.hama("AAPL.US"), events.hama("BTCUSDT"))
    event = await one.next("event")
    assert event["channel"] == "events:indicators:BTCUSDT"
    assert event["channels"] == ["events:indicators:BTCUSDT", "events:indicators"]
    assert event["data"]["state"] == "bullish"
    symbols = [(await everything.next("event"))["data"]["symbol"] for _ in range(2)]
    assert symbols == ["AAPL.US", "BTCUSDT"]


async def test_a_late_subscriber_is_shown_the_last_state_of_each_instrument_and_no_older_one(
    desk: Any, events: Any
) -> None:
    symbols = [f"S{number}.US" for number in range(78)]
    for minute in range(5):
        state = "bearish" if minute == 4 else "bullish"
        await desk.publish(*(events.hama(symbol, minute, state=state) for symbol in symbols))
    await desk.seen("HamaChanged", 5 * 78)
    client = await desk.client("?channels=events:indicators")
    shown = [m for m in await client.until_answered() if m["type"] == "event"]
    assert [m["data"]["symbol"] for m in shown] == symbols
    assert {m["data"]["state"] for m in shown} == {"bearish"}
    assert all(m["replayed"] for m in shown)


async def test_a_gateway_that_starts_shows_states_from_long_before_its_other_history(
    start_desk: Any, start_server: Any, events: Any
) -> None:
    url = start_server().url
    before = await start_desk(url)
    await before.publish(events.hama("BTCUSDT", state="bearish"), events.hama("AAPL.US"))
    await before.publish(events.hama("BTCUSDT", 1, state="bullish"))
    await before.seen("HamaChanged", 3)
    await before.stop()
    # Its history begins after the last publication: only states are read from further back.
    after = await start_desk(url, history_seconds=0.001, states_seconds=3_600)
    await after.seen("HamaChanged", 2)
    client = await after.client("?channels=events:indicators")
    shown = [m for m in await client.until_answered() if m["type"] == "event"]
    assert [(m["data"]["symbol"], m["data"]["state"]) for m in shown] == [
        ("AAPL.US", "bullish"),
        ("BTCUSDT", "bullish"),
    ]
    await after.publish(events.hama("ETHUSDT"))
    assert (await client.next("event"))["data"]["symbol"] == "ETHUSDT"


async def test_no_state_is_seen_twice_where_the_two_histories_meet(
    start_desk: Any, start_server: Any, events: Any
) -> None:
    url = start_server().url
    before = await start_desk(url)
    await before.publish(events.hama("BTCUSDT"))
    await before.stop()
    after = await start_desk(url, history_seconds=600, states_seconds=3_600)
    await after.publish(events.hama("ETHUSDT"))
    await after.seen("HamaChanged", 2)
    client = await after.client("?channels=events:indicators")
    await client.until_answered()
    assert (await after.get("/ws/stats"))[1]["events"]["HamaChanged"] == 2


async def test_a_gateway_whose_redis_is_unreachable_at_the_start_still_ends_when_stopped(
    start_desk: Any, start_server: Any
) -> None:
    server = start_server()
    desk = await start_desk(server.url)
    server.stop()
    waiting = await start_desk(server.url)
    client = await waiting.client()
    await client.next("hello")
    await waiting.stop()
    await desk.stop()
    assert await client.closed() == 4001


async def test_five_thousand_stocks_in_a_burst_close_no_socket_that_is_read(
    start_desk: Any, start_server: Any, events: Any
) -> None:
    desk = await start_desk(start_server().url)
    client = await desk.client("?channels=events:tasks,events:indicators")
    await client.next("subscribed")
    published = events.daily_job(STOCKS)
    assert len(published) == STOCKS + 102
    await desk.publish_all(published)
    seen = {"StockIndicatorsCompleted": 0, "TaskProgressed": 0, "TaskCompleted": 0}
    while not seen["TaskCompleted"]:
        event = await client.next("event")
        seen[event["event"]] += 1
    stats = desk.gateway.stats()
    # Each was delivered or dropped for a newer one of the run; progress and the end always arrive.
    assert sum(seen.values()) + stats["dropped"] == len(published)
    assert (stats["closed"], stats["connections"]) == ({}, 1)
    await client.until_answered()


async def test_a_page_that_reads_nothing_during_the_whole_job_keeps_its_socket(
    start_desk: Any, events: Any
) -> None:
    desk = await start_desk(queue_messages=200, stall_timeout_seconds=60)
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    host, port = desk.address.split(":")
    narrow.connect((host, int(port)))
    narrow.setblocking(False)  # noqa: FBT003 - the standard library's signature
    page = await desk.client(
        "?channels=events:tasks,events:indicators,events:market", sock=narrow, max_queue=1
    )
    await page.next("subscribed")
    # Many times what the kernel buffers for a reader that has stopped.
    published = [
        event.model_copy(update={"indicators": {f"x{n}": 1.5 for n in range(400)}})
        if hasattr(event, "indicators")
        else event
        for event in events.daily_job(STOCKS)
    ]
    await desk.publish(events.hama("BTCUSDT", state="bearish"), events.bar("AAPL.US"))
    for start in range(0, len(published), 500):
        await desk.publish_all(published[start : start + 500])
        assert desk.gateway.stats()["queued_messages"] <= 200
    await desk.seen("TaskCompleted", 1)
    stats = desk.gateway.stats()
    assert (stats["closed"], stats["connections"]) == ({}, 1)
    assert stats["dropped"] > 0
    seen: list[dict[str, Any]] = []
    while not seen or seen[-1]["event"] != "TaskCompleted":
        seen.append(await page.next("event"))
    kinds = [event["event"] for event in seen]
    assert {"HamaChanged", "BarClosed"} <= set(kinds)
    progress = [m["data"]["done"] for m in seen if m["event"] == "TaskProgressed"]
    assert progress[-1] == STOCKS


async def test_the_key_of_states_is_a_setting(start_desk: Any, events: Any) -> None:
    desk = await start_desk(keys={"analysis_key": "mine:hama"})
    client = await desk.client("?channels=events:indicators")
    await client.next("subscribed")
    topic = topics.ANALYSIS_STATES
    await desk.bus.publish(topic, events.hama("ETHUSDT"))
    await desk.bus.publish(topic.configured(key="mine:hama"), events.hama("BTCUSDT"))
    assert (await client.next("event"))["data"]["symbol"] == "BTCUSDT"


def test_the_job_of_these_tests_is_what_the_contract_allows(events: Any) -> None:
    published = events.daily_job(STOCKS)
    assert len(published) <= 5_102
    assert published[-1].timestamp - published[0].timestamp == timedelta(seconds=5)
