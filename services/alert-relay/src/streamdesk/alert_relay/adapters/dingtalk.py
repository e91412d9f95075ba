"""The robot of a DingTalk group, over HTTPS: signed, one attempt a call, no redirect followed."""

import asyncio
import base64
import hashlib
import hmac
import logging
from collections.abc import Callable
from urllib.parse import quote_plus

import httpx

from streamdesk.alert_relay.domain.message import AlertMessage
from streamdesk.alert_relay.domain.robot_reply import DeliveryOutcome, RobotReply, read_reply

LARGEST_ANSWER_BYTES = 65_536
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


def signature(secret: str, timestamp_ms: int) -> str:
    """The value of `sign`, not encoded for a URL yet.

    HMAC-SHA256 of the timestamp, a line feed and the secret, under the secret; in base64.
    """
    text = f"{timestamp_ms}\n{secret}".encode()
    return base64.b64encode(hmac.digest(secret.encode(), text, hashlib.sha256)).decode()


class DingTalkRobot:
    """Sends messages.

    Args:
        url: the robot's address, with its token.
        secret: what it wants requests signed with; empty for none.
        timeout_seconds: for a whole request and its answer.
        clock: seconds since 1970, as in the signature.
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
            # Shorter to connect: what ran out of time then was certainly not sent.
            timeout=httpx.Timeout(timeout_seconds, connect=timeout_seconds / 2),
            follow_redirects=False,
            # A connection that the robot closes just then would make an outcome unknown.
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=0),
        )

    async def send(self, message: AlertMessage) -> RobotReply:
        """Send once; say what came of it. Raises nothing for what the network does."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._ask(message.body())
        except _NEVER_LEFT as error:
            return RobotReply(
                DeliveryOutcome.NOT_SENT, f"the robot cannot be reached: {_words(error)}"
            )
        except (httpx.HTTPError, TimeoutError) as error:
            return RobotReply(
                DeliveryOutcome.UNKNOWN, f"no answer after it was sent: {_words(error)}"
            )

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
    """What happened, without the address, which has the token."""
    return type(error).__name__
