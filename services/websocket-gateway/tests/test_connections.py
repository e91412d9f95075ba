"""How connections live and end: idle, slow, wrong, full, drained."""

import socket
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus


async def test_a_connection_that_sends_nothing_is_closed_with_4012(start_desk: Any) -> None:
    desk = await start_desk(idle_timeout_seconds=60, sweep_seconds=0.05)
    client = await desk.client("?channels=events:system")
    await client.next("subscribed")
    desk.clock.seconds += 61
    assert await client.closed() == 4012
    assert desk.gateway.stats()["closed"] == {"4012": 1}


async def test_a_heartbeat_is_answered_and_keeps_the_connection(desk: Any) -> None:
    speaking, silent = await desk.client(), await desk.client()
    await silent.next("hello")
    desk.clock.seconds += 59
    await speaking.say(type="heartbeat", id="a")
    assert (await speaking.next("heartbeat"))["id"] == "a"
    desk.clock.seconds += 2
    desk.gateway.connections.sweep_once()
    assert await silent.closed() == 4012
    await speaking.say(type="heartbeat")
    assert "id" not in await speaking.next("heartbeat")


async def test_a_reader_that_stalls_delays_no_other_and_is_closed_with_4008(
    start_desk: Any,
) -> None:
    desk = await start_desk(queue_messages=50, stall_timeout_seconds=60)
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    host, port = desk.address.split(":")
    narrow.connect((host, int(port)))
    narrow.setblocking(False)  # noqa: FBT003 - the standard library's signature
    slow = await desk.client("?channels=events:tasks", sock=narrow, max_queue=1)
    fast = await desk.client("?channels=events:tasks")
    await fast.next("subscribed")
    for connection in desk.gateway.connections:
        assert connection.close_code is None
    codes: list[int | None] = []
    number = 0
    while 4008 not in codes:
        number += 1
        assert number < 5_000, "the slow reader was never closed"
        data = {"number": number, "filler": "x" * 50_000}
        desk.gateway.send.to_channel("events:task:1", "Note", data)
        # The fast one has each message before the next is sent, despite the stalled one.
        assert (await fast.next("event"))["data"]["number"] == number
        codes = [connection.close_code for connection in desk.gateway.connections]
    assert await slow.closed() == 4008
    await fast.until_answered()


async def test_memory_for_a_stalled_reader_is_bounded(start_desk: Any) -> None:
    desk = await start_desk(queue_messages=1_000, queue_bytes=100_000)
    client = await desk.client("?channels=events:tasks", max_queue=1)
    await client.next("subscribed")
    for _ in range(20):  # the writer never runs in between
        desk.gateway.send.to_channel("events:tasks", "Note", {"filler": "x" * 20_000})
        assert desk.gateway.stats()["queued_bytes"] <= 100_000
    assert await client.closed() == 4008


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("{", "bad-json"),
        ("[" * 10_000, "bad-json"),
        ("[]", "bad-message"),
        ('"subscribe"', "bad-message"),
        ("{}", "unknown-type"),
        ('{"type": "launch"}', "unknown-type"),
        ('{"type": ["subscribe"]}', "unknown-type"),
        ('{"type": "subscribe"}', "bad-message"),
        ('{"type": "subscribe", "channels": []}', "bad-message"),
        ('{"type": "subscribe", "channels": "events:news"}', "bad-message"),
        ('{"type": "subscribe", "channels": [1]}', "bad-message"),
        ('{"type": "heartbeat", "id": {}}', "bad-message"),
        (b"\xff\xfe", "bad-json"),
    ],
)
async def test_a_message_that_breaks_the_protocol_gets_a_typed_error(
    desk: Any, sent: str | bytes, code: str
) -> None:
    client = await desk.client()
    await client.socket.send(sent)
    error = await client.next("error")
    assert error["code"] == code
    assert error["message"]
    assert await client.until_answered() == []


async def test_an_error_carries_the_id_of_its_message(desk: Any) -> None:
    client = await desk.client()
    await client.say(type="launch", id=12)
    assert (await client.next("error"))["id"] == 12


async def test_a_message_that_is_too_long_closes_with_1009(desk: Any) -> None:
    client = await desk.client()
    await client.socket.send("x" * 70_000)
    assert await client.closed() == 1009


async def test_a_full_gateway_refuses_with_a_retry_after(start_desk: Any) -> None:
    desk = await start_desk(max_connections=1)
    await desk.client()
    with pytest.raises(InvalidStatus) as refused:
        await desk.client()
    assert refused.value.response.status_code == 503
    assert refused.value.response.headers["Retry-After"]


async def test_a_page_of_another_site_cannot_open_a_socket(start_desk: Any) -> None:
    desk = await start_desk(allowed_origins=("https://desk.example.com",))
    await desk.client(origin=f"http://{desk.address}")
    await desk.client(origin="https://desk.example.com")
    with pytest.raises(InvalidStatus) as refused:
        await desk.client(origin="https://elsewhere.example.com")
    assert refused.value.response.status_code == 403


async def test_a_drain_closes_every_socket_with_4001(desk: Any) -> None:
    clients = [await desk.client() for _ in range(5)]
    desk.drain.request()
    assert [await client.closed() for client in clients] == [4001] * 5
    await desk.stop()


async def test_frames_are_not_compressed(desk: Any) -> None:
    client = await desk.client()
    assert client.socket.protocol.extensions == []


async def test_sockets_survive_an_outage_of_redis_and_events_resume(
    start_desk: Any, start_server: Any, events: Any
) -> None:
    server = start_server()
    desk = await start_desk(server.url, lag_ttl_seconds=0)
    client = await desk.client("?channels=events:signals")
    await client.next("subscribed")
    await desk.publish(events.signal("AAPL.US"))
    assert (await client.next("event"))["data"]["symbol"] == "AAPL.US"
    assert not (await desk.get("/api/lag"))[1]["stale"]
    server.stop()
    assert (await client.next("state"))["state"] == "degraded"
    late = await desk.client()
    assert (await late.next("hello"))["state"] == "degraded"
    assert (await desk.get("/api/lag"))[1]["stale"]
    server.start()
    await desk.publish(events.signal("MSFT.US"))
    messages = [await client.next(), await client.next()]
    assert sorted(m["type"] for m in messages) == ["event", "state"]
    assert [m["state"] for m in messages if m["type"] == "state"] == ["ok"]
    assert [m["data"]["symbol"] for m in messages if m["type"] == "event"] == ["MSFT.US"]


async def test_hello_names_the_limits(desk: Any) -> None:
    client = await desk.client()
    hello = await client.next()
    assert hello["type"] == "hello"
    assert hello["protocol"] == 1
    assert hello["limits"] == {
        "channels": 128,
        "message_bytes": 65_536,
        "idle_timeout_seconds": 60,
    }
