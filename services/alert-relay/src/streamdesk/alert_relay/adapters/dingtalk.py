"""The robot of a DingTalk group, over HTTPS: signed requests, one attempt a call, no redirects.

The HTTP status of its answers says little; `errcode` in the body decides. The codes, as DingTalk's
users report them: 0 delivered; 130101 more than twenty messages in a minute; 310000 keyword,
signature or clock; 300001 and several 400xxx a wrong token; -1 busy. A robot that was sent too many
messages is cut off for ten minutes and answers 302.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

import httpx

from streamdesk.alert_relay.domain.message import AlertMessage
from streamdesk.alert_relay.domain.robot_reply import DeliveryOutcome, RobotReply

LARGEST_ANSWER_BYTES = 65_536

_OK = 200
_REDIRECTS = range(300, 400)
_TOO_MANY_REQUESTS = 429
_UNAVAILABLE = 503
_CLIENT_ERRORS = range(400, 500)

DELIVERED = 0
BUSY = -1
TOO_FAST = 130101
BAD_TOKENS = frozenset({300001, 300005, 400101, 400102, 400013, 40014})
NOT_ALLOWED = 310000

LONGEST_REASON = 300

_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


def signature(secret: str, timestamp_ms: int) -> str:
    """The value of `sign`, not yet encoded for a URL.

    HMAC-SHA256 of the timestamp, a line feed and the secret, under the secret; in base64.
    """
    text = f"{timestamp_ms}\n{secret}".encode()
    return base64.b64encode(hmac.digest(secret.encode(), text, hashlib.sha256)).decode()


def read_reply(status: int, body: bytes) -> RobotReply:
    """What an HTTP answer of the robot means.

    Args:
        status: HTTP status.
        body: of the answer.
    """
    if status in _REDIRECTS:
        return RobotReply(DeliveryOutcome.BLOCKED, f"HTTP {status}: too many messages were sent")
    if status == _TOO_MANY_REQUESTS:
        return RobotReply(DeliveryOutcome.TOO_FAST, f"HTTP {status}")
    if status == _UNAVAILABLE:
        return RobotReply(DeliveryOutcome.NOT_SENT, f"HTTP {status}")
    if status in _CLIENT_ERRORS:
        return RobotReply(
            DeliveryOutcome.MISCONFIGURED, f"HTTP {status}: is DINGTALK_URL the robot's address?"
        )
    code, words = _code_in(body) if status == _OK else (None, "")
    if code is None:
        return RobotReply(DeliveryOutcome.UNKNOWN, f"HTTP {status} without an errcode")
    return _of_code(code, f"errcode {code}: {words}"[:LONGEST_REASON])


def _of_code(code: int, reason: str) -> RobotReply:
    if code == DELIVERED:
        return RobotReply(DeliveryOutcome.DELIVERED)
    if code == TOO_FAST:
        return RobotReply(DeliveryOutcome.TOO_FAST, reason)
    if code == BUSY:
        return RobotReply(DeliveryOutcome.NOT_SENT, reason)
    if code == NOT_ALLOWED:
        hint = (
            "; look at DINGTALK_SECRET, DINGTALK_KEYWORD, the robot's list of addresses, the clock"
        )
        return RobotReply(DeliveryOutcome.MISCONFIGURED, reason + hint)
    if code in BAD_TOKENS:
        return RobotReply(
            DeliveryOutcome.MISCONFIGURED, f"{reason}; look at the token in DINGTALK_URL"
        )
    return RobotReply(DeliveryOutcome.REFUSED, reason)


def _code_in(body: bytes) -> tuple[int | None, str]:
    try:
        value = json.loads(body)
        return int(value["errcode"]), str(value.get("errmsg", ""))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None, ""


def body_of(message: AlertMessage) -> bytes:
    """The JSON of a message, as the robot accepts it."""
    people = [name for name in message.mentioned if name != "all"]
    mobiles = [name for name in people if name.lstrip("+").replace("-", "").isdigit()]
    at: dict[str, Any] = {
        "atMobiles": mobiles,
        "atUserIds": [name for name in people if name not in mobiles],
        "isAtAll": "all" in message.mentioned,
    }
    content = {"title": message.title, "text": message.text}
    value = {"msgtype": "markdown", "markdown": content, "at": at}
    return json.dumps(value, ensure_ascii=False).encode()


class DingTalkRobot:
    """Sends messages to one robot.

    Args:
        url: the robot's address, with its token.
        secret: signs requests; empty for no signature.
        timeout_seconds: for a whole request and its answer.
        clock: seconds since 1970, for the signature.
    """

    def __init__(
        self, url: str, secret: str, timeout_seconds: float, clock: Callable[[], float]
    ) -> None:
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs addresses, with the token
        self._url = url
        self._secret = secret
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._http = httpx.AsyncClient(
            # Shorter to connect: a request that times out while connecting was certainly not sent.
            timeout=httpx.Timeout(timeout_seconds, connect=timeout_seconds / 2),
            follow_redirects=False,
            # A kept connection that the robot closes during a request would leave its outcome
            # unknown.
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=0),
        )

    async def send(self, message: AlertMessage) -> RobotReply:
        """Send once, and return the outcome. Network errors are outcomes, not exceptions."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._ask(body_of(message))
        except _NEVER_LEFT as error:
            return RobotReply(
                DeliveryOutcome.NOT_SENT, f"the robot is unreachable: {_words(error)}"
            )
        except (httpx.HTTPError, TimeoutError) as error:
            return RobotReply(DeliveryOutcome.UNKNOWN, f"no answer after sending: {_words(error)}")

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _ask(self, body: bytes) -> RobotReply:
        headers = {"content-type": "application/json; charset=utf-8"}
        async with self._http.stream(
            "POST", self._address(), content=body, headers=headers
        ) as response:
            answer = b""
            async for chunk in response.aiter_bytes():
                answer += chunk
                if len(answer) > LARGEST_ANSWER_BYTES:
                    break
            return read_reply(response.status_code, answer)

    def _address(self) -> str:
        if not self._secret:
            return self._url
        now_ms = round(self._clock() * 1_000)
        sign = quote_plus(signature(self._secret, now_ms))
        return f"{self._url}&timestamp={now_ms}&sign={sign}"


def _words(error: Exception) -> str:
    """The kind of error, without its text: that contains the address with the token."""
    return type(error).__name__
