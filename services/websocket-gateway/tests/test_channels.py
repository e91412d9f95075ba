"""The channel tree over real sockets."""

import asyncio
from typing import Any

import pytest


async def test_a_parent_carries_its_children_and_each_event_arrives_once(
    desk: Any, events: Any
) -> None:
    client = await desk.client("?channels=events:signals,events:signals:AAPL.US")
    assert (await client.next("subscribed"))["channels"] == [
        "events:signals",
        "events:signals:AAPL.US",
    ]
    await desk.publish(events.signal("AAPL.US"), events.signal("MSFT.US"), events.system())
    await desk.seen("SystemEvent", 1)
    got = [m for m in await client.until_answered() if m["type"] == "event"]
    assert [m["data"]["symbol"] for m in got] == ["AAPL.US", "MSFT.US"]
    assert got[0]["channel"] == "events:signals:AAPL.US"
    assert got[0]["channels"] == ["events:signals:AAPL.US", "events:signals"]
    assert got[0]["event"] == "SignalGenerated"


async def test_a_child_carries_only_its_own(desk: Any, events: Any) -> None:
    client = await desk.client()
    await client.subscribe("events:market:700.HK", "events:task:b")
    await desk.publish(
        events.bar("AAPL.US"), events.bar("700.HK"), events.task("a"), events.task("b")
    )
    await desk.seen("TaskProgressed", 2)
    await desk.seen("BarClosed", 2)
    got = [m for m in await client.until_answered() if m["type"] == "event"]
    assert sorted(m["channel"] for m in got) == ["events:market:700.HK", "events:task:b"]


async def test_a_channel_of_an_instrument_may_be_named_in_any_spelling(
    desk: Any, events: Any
) -> None:
    client = await desk.client("?channels=events:market:0700.hk")
    assert (await client.next("subscribed"))["channels"] == ["events:market:700.HK"]
    await desk.publish(events.bar("700.HK"))
    assert (await client.next("event"))["channel"] == "events:market:700.HK"
    await client.say(type="unsubscribe", channels=["events:market:00700.HK"])
    assert (await client.next("unsubscribed"))["channels"] == ["events:market:700.HK"]


async def test_after_unsubscribe_nothing_more_arrives(desk: Any, events: Any) -> None:
    client = await desk.client("?channels=events:news,events:system")
    await client.say(type="unsubscribe", channels=["events:news", "events:orders"], id=7)
    reply = await client.next("unsubscribed")
    assert reply["channels"] == ["events:news"]
    assert reply["id"] == 7
    assert [e["code"] for e in reply["errors"]] == ["not-subscribed"]
    await desk.publish(events.news(), events.system())
    assert (await client.next("event"))["event"] == "SystemEvent"


async def test_subscribing_succeeds_and_fails_channel_by_channel(desk: Any) -> None:
    client = await desk.client()
    reply = await client.subscribe("events:orders", "events:nonsense", "user:bob")
    assert reply["channels"] == ["events:orders"]
    assert [(e["channel"], e["code"]) for e in reply["errors"]] == [
        ("events:nonsense", "unknown-channel"),
        ("user:bob", "forbidden-channel"),
    ]


async def test_a_connection_has_a_limited_number_of_channels(start_desk: Any) -> None:
    desk = await start_desk(max_channels=2)
    client = await desk.client()
    reply = await client.subscribe("events:orders", "events:news", "events:system")
    assert reply["channels"] == ["events:orders", "events:news"]
    assert [e["code"] for e in reply["errors"]] == ["too-many-channels"]


async def test_a_new_subscriber_is_shown_recent_events_marked_as_replayed(
    desk: Any, events: Any
) -> None:
    await desk.publish(events.signal("AAPL.US"), events.signal("MSFT.US"))
    await desk.seen("SignalGenerated", 2)
    client = await desk.client("?channels=events:signals")
    first, second = await client.next("event"), await client.next("event")
    assert [first["data"]["symbol"], second["data"]["symbol"]] == ["AAPL.US", "MSFT.US"]
    assert first["replayed"]
    assert second["replayed"]
    await desk.publish(events.signal("700.HK"))
    assert "replayed" not in await client.next("event")


async def test_a_gateway_that_starts_reads_back_what_happened_before_it(
    start_desk: Any, events: Any
) -> None:
    before = await start_desk("memory://restart-of-the-gateway")
    await before.publish(events.signal("AAPL.US"))
    await before.stop()
    after = await start_desk("memory://restart-of-the-gateway")
    client = await after.client("?channels=events:signals")
    assert (await client.next("event"))["data"]["symbol"] == "AAPL.US"


async def test_sends_reach_a_channel_a_user_and_a_connection(
    start_desk: Any, secret: str, token: Any
) -> None:
    desk = await start_desk(jwt_secret=secret)
    ann = await desk.client(f"?token={token(sub='ann')}")
    hello = await ann.next("hello")
    bob = await desk.client(f"?token={token(sub='bob')}&channels=events:tasks")
    await bob.next("subscribed")
    assert hello["user"] == "ann"
    assert desk.gateway.send.to_user("ann", "Note", {"n": 1}) == 1
    assert desk.gateway.send.to_connection(hello["connection"], "Note", {"n": 2}) == 1
    assert desk.gateway.send.to_channel("events:task:x", "Note", {"n": 3}) == 1
    assert [(await ann.next("event"))["data"]["n"] for _ in range(2)] == [1, 2]
    event = await bob.next("event")
    assert (event["data"], event["channel"], event["event"]) == ({"n": 3}, "events:task:x", "Note")


async def test_stats_and_channels_report_the_connections(desk: Any, events: Any) -> None:
    client = await desk.client("?channels=events:orders,events:news")
    await client.next("subscribed")
    await desk.publish(events.news())
    await client.next("event")
    status, stats = await desk.get("/ws/stats")
    assert (status, stats["connections"], stats["subscriptions"]) == (200, 1, 2)
    assert stats["state"] == "ok"
    assert stats["events"]["NewsFiltered"] == 1
    assert stats["sent"] >= 3
    assert (await desk.get("/ws/channels"))[1] == {
        "channels": {"events:news": 1, "events:orders": 1}
    }
    await client.socket.close()
    async with asyncio.timeout(30):
        while desk.gateway.stats()["connections"]:
            await asyncio.sleep(0.005)
    assert (await desk.get("/ws/channels"))[1] == {"channels": {}}


async def test_lag_names_every_group(desk: Any, events: Any) -> None:
    await desk.publish(events.signal())
    status, lag = await desk.get("/api/lag")
    assert status == 200
    assert not lag["stale"]
    by_group = {row["group"]: row for row in lag["groups"]}
    assert by_group["order-executors"]["waiting"] == 1
    assert by_group["news-filter-group"]["waiting"] == 0


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/api/publish/channel/events:nonsense", {"event": "Note"}, 404, "unknown-channel"),
        ("/api/publish/connection/nobody", {"event": "Note"}, 404, "unknown-connection"),
        ("/api/publish/channel/events:news", {"event": "<b>"}, 422, None),
        ("/api/publish/planet/x", {"event": "Note"}, 422, None),
    ],
)
async def test_a_send_that_is_impossible_is_refused_with_the_reason(
    desk: Any, path: str, body: Any, status: int, code: str | None
) -> None:
    answer = await desk.post(path, body)
    assert answer[0] == status
    assert answer[1].get("code") == code


async def test_a_post_reaches_the_channel(desk: Any) -> None:
    client = await desk.client("?channels=events:tasks")
    await client.next("subscribed")
    body = {"event": "Note", "data": {"text": "hello"}}
    assert await desk.post("/api/publish/channel/events:task:1", body) == (200, {"delivered": 1})
    assert (await client.next("event"))["data"] == {"text": "hello"}


async def test_a_form_of_another_site_cannot_publish(desk: Any) -> None:
    body = b'{"event": "Note"}'
    status, _, _ = await desk.http(
        "POST", "/api/publish/channel/events:tasks", body, Content_Type="text/plain"
    )
    assert status == 422


async def test_a_long_body_is_refused_before_it_is_read(desk: Any) -> None:
    path = "/api/publish/channel/events:tasks"
    status, _, _ = await desk.http("POST", path, Content_Length="70000")
    assert status == 413
    assert (await desk.http("POST", path))[0] == 411
