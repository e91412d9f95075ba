"""The protocol of the socket: messages of clients and messages of the server.

Every message is a JSON object with a `type`, in a text frame. A client may add an `id` (string or
integer) to a message; the reply repeats it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic_core import from_json

from streamdesk.websocket_gateway.errors import ProtocolError

PROTOCOL_VERSION = 1
SUBPROTOCOL = "streamdesk.v1"
TOKEN_SUBPROTOCOL_PREFIX = "token."  # noqa: S105 - a prefix, not a secret

BusState = Literal["ok", "degraded"]

_TYPES = ("subscribe", "unsubscribe", "heartbeat")
_MAX_ECHO = 100


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """A valid message of a client.

    Args:
        type: the request.
        channels: the channels it names, each once, unchecked; empty for a heartbeat.
        message_id: echoed in the reply.
    """

    type: Literal["subscribe", "unsubscribe", "heartbeat"]
    channels: tuple[str, ...] = ()
    message_id: str | int | None = None


def parse(text: str | bytes) -> ClientMessage:
    """Parse one frame of a client.

    Raises:
        ProtocolError: `bad-json`, `bad-message` or `unknown-type`, with what was expected.
    """
    try:
        value: Any = from_json(text)
    except ValueError as error:
        raise ProtocolError("bad-json", f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ProtocolError("bad-message", f"expected a JSON object, got {_shown(value)}")
    message_id = value.get("id")
    if isinstance(message_id, bool) or not isinstance(message_id, str | int | None):
        raise ProtocolError("bad-message", "id must be a string or an integer")
    kind = value.get("type")
    if kind not in _TYPES:
        expected = ", ".join(_TYPES)
        raise ProtocolError(
            "unknown-type", f"type {_shown(kind)} is not one of: {expected}", message_id
        )
    if kind == "heartbeat":
        return ClientMessage("heartbeat", (), message_id)
    return ClientMessage(kind, _channels(value.get("channels"), message_id), message_id)


def _channels(value: Any, message_id: str | int | None) -> tuple[str, ...]:  # noqa: ANN401 - JSON
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise ProtocolError(
            "bad-message",
            f"channels must be a list of one or more names, got {_shown(value)}",
            message_id,
        )
    return tuple(dict.fromkeys(value))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_ECHO else f"{text[:_MAX_ECHO]}…"


@dataclass(frozen=True, slots=True)
class ChannelRefusal:
    """One channel that was not subscribed or unsubscribed, and why."""

    channel: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ChannelsReply:
    """The outcome of a subscribe or unsubscribe, channel by channel."""

    accepted: tuple[str, ...]
    refused: tuple[ChannelRefusal, ...]


def encode(message: Mapping[str, object]) -> str:
    """One server message as compact JSON."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)


def channels_reply(
    kind: Literal["subscribed", "unsubscribed"],
    reply: ChannelsReply,
    message_id: str | int | None,
) -> str:
    """The answer to subscribe and unsubscribe: the accepted channels, and those refused."""
    errors = [
        {"channel": _clip(r.channel), "code": r.code, "message": r.message} for r in reply.refused
    ]
    return encode(
        _with_id({"type": kind, "channels": list(reply.accepted), "errors": errors}, message_id)
    )


def error(code: str, message: str, message_id: str | int | None = None) -> str:
    """An error reply."""
    return encode(_with_id({"type": "error", "code": code, "message": message}, message_id))


def heartbeat(at: str, message_id: str | int | None = None) -> str:
    """The answer to a heartbeat; `at` is the server's time, RFC 3339."""
    return encode(_with_id({"type": "heartbeat", "at": at}, message_id))


def state(name: BusState, reason: str = "") -> str:
    """Whether events flow: `degraded` while Redis is unreachable."""
    return encode({"type": "state", "state": name, "reason": reason})


def hello(
    *,
    connection: str,
    user: str | None,
    state_name: BusState,
    channels: Sequence[str],
    limits: Mapping[str, float],
    at: str,
) -> str:
    """The first message on a socket: the connection's identity, state and limits."""
    return encode(
        {
            "type": "hello",
            "protocol": PROTOCOL_VERSION,
            "connection": connection,
            "user": user,
            "state": state_name,
            "channels": list(channels),
            "limits": dict(limits),
            "at": at,
        }
    )


def rfc3339(at: datetime) -> str:
    """A moment in UTC as messages carry it, to the millisecond."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def timestamp(seconds: float) -> str:
    """The same of seconds since the epoch."""
    return rfc3339(datetime.fromtimestamp(seconds, UTC))


def _with_id(message: dict[str, object], message_id: str | int | None) -> dict[str, object]:
    return message if message_id is None else {**message, "id": message_id}


def _clip(name: str) -> str:
    return name if len(name) <= _MAX_ECHO else f"{name[:_MAX_ECHO]}…"
