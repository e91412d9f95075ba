"""Tokens: where clients put them, what they allow, and that no log shows them."""

import logging
import time
from typing import Any

import pytest
from websockets.typing import Subprotocol


@pytest.fixture
async def locked(start_desk: Any, secret: str) -> Any:
    return await start_desk(jwt_secret=secret)


async def test_without_a_secret_no_token_is_required(desk: Any) -> None:
    client = await desk.client("?token=anything")
    assert (await client.next("hello"))["user"] is None


async def test_a_missing_token_is_refused_permanently(locked: Any) -> None:
    client = await locked.client()
    assert (await client.next())["code"] == "token-missing"
    assert await client.closed() == 4500


@pytest.mark.parametrize(
    "claims",
    [
        {"signed_with": "another-secret-with-more-than-32-bytes-in-it"},
        {"exp": None},
        {"sub": None},
        {"channels": "events:*"},
        {"channels": [1]},
    ],
)
async def test_an_invalid_token_is_refused_permanently(
    locked: Any, token: Any, claims: dict[str, Any]
) -> None:
    client = await locked.client(f"?token={token(**claims)}")
    assert (await client.next())["code"] == "token-invalid"
    assert await client.closed() == 4500


async def test_a_token_without_signature_is_refused(locked: Any) -> None:
    client = await locked.client("?token=eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.")
    assert (await client.next())["code"] == "token-invalid"


async def test_a_client_with_an_expired_token_may_reconnect_with_a_new_one(
    locked: Any, token: Any
) -> None:
    client = await locked.client(f"?token={token(exp=int(time.time()) - 60)}")
    assert (await client.next())["code"] == "token-expired"
    assert await client.closed() == 4005


async def test_a_connection_ends_when_its_token_does(locked: Any, token: Any) -> None:
    client = await locked.client(f"?token={token()}")
    await client.next("hello")
    locked.gateway.connections._wall = lambda: time.time() + 700
    locked.gateway.connections.sweep_once()
    assert await client.closed() == 4005


async def test_a_token_is_read_from_query_header_or_subprotocol(locked: Any, token: Any) -> None:
    by_query = await locked.client(f"?token={token()}")
    by_header = await locked.client(additional_headers={"Authorization": f"Bearer {token()}"})
    offered = [Subprotocol("streamdesk.v1"), Subprotocol(f"token.{token()}")]
    by_subprotocol = await locked.client(subprotocols=offered)
    for client in (by_query, by_header, by_subprotocol):
        assert (await client.next("hello"))["user"] == "ann"
    assert by_subprotocol.socket.subprotocol == "streamdesk.v1"


async def test_a_user_receives_its_own_channel_and_no_other(locked: Any, token: Any) -> None:
    client = await locked.client(f"?token={token(sub='ann')}&channels=user:bob,user:ann")
    assert (await client.next("hello"))["channels"] == ["user:ann"]
    reply = await client.next("subscribed")
    assert reply["channels"] == ["user:ann"]
    assert [e["code"] for e in reply["errors"]] == ["forbidden-channel"]


async def test_the_claim_bounds_the_channels(locked: Any, token: Any) -> None:
    allowed = token(channels=["events:market"])
    client = await locked.client(f"?token={allowed}&channels=events:market:AAPL.US,events:orders")
    reply = await client.next("subscribed")
    assert reply["channels"] == ["events:market:AAPL.US"]
    assert [e["channel"] for e in reply["errors"]] == ["events:orders"]


@pytest.mark.parametrize("path", ["/ws/stats", "/ws/channels", "/api/lag"])
async def test_the_api_requires_the_token_too(locked: Any, token: Any, path: str) -> None:
    status, answer = await locked.get(path)
    assert (status, answer["code"]) == (401, "token-missing")
    assert (await locked.get(path, Authorization=f"Bearer {token()}"))[0] == 200
    assert (await locked.get(f"{path}?token={token()}"))[0] == 200


async def test_only_a_token_that_may_publish_publishes(locked: Any, token: Any) -> None:
    path, body = "/api/publish/user/ann", {"event": "Note", "data": {}}
    assert (await locked.post(path, body))[0] == 401
    status, answer = await locked.post(path, body, Authorization=f"Bearer {token()}")
    assert (status, answer["code"]) == (403, "publish-forbidden")
    allowed = f"Bearer {token(publish=True)}"
    assert await locked.post(path, body, Authorization=allowed) == (200, {"delivered": 0})


async def test_no_log_shows_a_token(
    locked: Any, token: Any, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # the client's own, in this process
    try:
        with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "uvicorn.error"):
            made = token()
            query = await locked.client(f"?token={made}")
            await query.next("hello")
            header = await locked.client(additional_headers={"Authorization": f"Bearer {made}"})
            await header.next("hello")
            await locked.get(f"/ws/stats?token={made}")
    finally:
        logging.getLogger("websockets").setLevel(logging.NOTSET)
    assert "/ws/events" in caplog.text
    assert made not in caplog.text
    assert made.split(".")[2] not in caplog.text
