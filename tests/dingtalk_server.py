"""A server on loopback that acts as DingTalk's robot, and can be scripted to misbehave.

It checks what the robot checks: the token, the signature (encoded once) and its clock, the keyword,
the length, and how many messages come in a minute.

Also a plain script, for a pod: `dingtalk_server.py --host 0.0.0.0 --port 8080` prints each message
that it takes as a line of JSON. So it uses the standard library alone.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

SECRET = "SEC0000000000000000000000000000000000000000000000000000000000example"  # noqa: S105 - made up
TOKEN = "example-token"  # noqa: S105 - made up
CLOCK_MS = 3_600_000
LARGEST_BYTES = 20_000
PER_MINUTE = 20

Request = dict[str, Any]
Behaviour = Callable[["DingTalkServer", asyncio.StreamWriter, Request], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that the robot took."""

    at: float
    title: str
    text: str
    body: Request


class DingTalkServer:
    """Answers `POST /robot/send`.

    Attributes:
        minute_seconds: length of its minute.
        taken: the messages that it took, and would show people.
        requests: how many requests came at all.
        refused: what it answered to those that it did not take, by errcode.
        behaviours: what it does about the next requests instead, one after another.
        always: what it does about all of them, if set.
        keyword: a word that each message must have.
        most_in_a_minute: the most requests that came within its minute.
    """

    def __init__(self, minute_seconds: float = 60.0) -> None:
        self.minute_seconds = minute_seconds
        self.taken: list[Taken] = []
        self.requests = 0
        self.refused: list[int] = []
        self.behaviours: list[Behaviour] = []
        self.always: Behaviour | None = None
        self.keyword = ""
        self.most_in_a_minute = 0
        self._came: list[float] = []
        self._handlers: set[asyncio.Task[None]] = set()
        self.url = ""

    @property
    def titles(self) -> list[str]:
        """Of what it took."""
        return [message.title for message in self.taken]

    @property
    def texts(self) -> str:
        """Of what it took, in one."""
        return "\n".join(message.text for message in self.taken)

    @asynccontextmanager
    async def running(
        self, host: str = "127.0.0.1", port: int = 0
    ) -> AsyncIterator["DingTalkServer"]:
        """Listen, by default on a free port of loopback."""
        server = await asyncio.start_server(self._connection, host, port)
        port = server.sockets[0].getsockname()[1]
        self.url = f"http://{host}:{port}/robot/send?access_token={TOKEN}"
        try:
            yield self
        finally:
            server.close()
            for handler in self._handlers:
                handler.cancel()
            await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                int(line.partition(":")[2])
                for line in head.split("\r\n")
                if line.lower().startswith("content-length:")
            )
            body = await reader.readexactly(length)
            await self._request(head.split(" ", 2)[1], body, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client left, or the test is over
        finally:
            self._handlers.discard(task)
            writer.close()

    async def _request(self, target: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        now = time.monotonic()
        self.requests += 1
        self._came = [at for at in self._came if at > now - self.minute_seconds] + [now]
        self.most_in_a_minute = max(self.most_in_a_minute, len(self._came))
        request = {"target": target, "bytes": len(body), **json.loads(body)}
        behaviour = self.behaviours.pop(0) if self.behaviours else self.always
        await (behaviour or DingTalkServer.answer)(self, writer, request)

    async def answer(self, writer: asyncio.StreamWriter, request: Request) -> None:
        """As the robot would."""
        code, words = self.verdict(request)
        if code == 0:
            self.take(request)
        await self.say(writer, code, words)

    def verdict(self, request: Request) -> tuple[int, str]:
        """Its errcode and words for a request: the first that is wrong, or 0."""
        query = parse_qs(urlsplit(request["target"]).query)
        asked = {name: values[0] for name, values in query.items()}
        stamp = int(asked.get("timestamp", "0"))
        wanted = hmac.digest(SECRET.encode(), f"{stamp}\n{SECRET}".encode(), hashlib.sha256)
        signed = asked.get("sign") == base64.b64encode(wanted).decode()
        said = json.dumps(request["markdown"], ensure_ascii=False)
        faults = (
            (asked.get("access_token") != TOKEN, 300001, "token is not exist"),
            (abs(stamp - time.time() * 1_000) > CLOCK_MS, 310000, "invalid timestamp"),
            (not signed, 310000, "sign not match"),
            (self.keyword not in said, 310000, "keywords not in content"),
            (request["bytes"] > LARGEST_BYTES, 460101, "message too long"),
            (len(self._came) > PER_MINUTE, 130101, "send too fast, exceed 20 times per minute"),
        )
        return next(((code, words) for wrong, code, words in faults if wrong), (0, "ok"))

    def take(self, request: Request) -> None:
        """Show it to people."""
        content = request["markdown"]
        self.taken.append(Taken(time.monotonic(), content["title"], content["text"], request))

    async def say(self, writer: asyncio.StreamWriter, code: int, words: str) -> None:
        """Answer with this errcode."""
        if code:
            self.refused.append(code)
        await self.send(writer, 200, json.dumps({"errcode": code, "errmsg": words}).encode())

    async def send(
        self, writer: asyncio.StreamWriter, status: int, body: bytes, headers: str = ""
    ) -> None:
        """Answer with this status and body."""
        phrase = HTTPStatus(status).phrase
        head = f"HTTP/1.1 {status} {phrase}\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\n{headers}\r\n".encode() + body)
        await writer.drain()


def errcode(code: int, words: str = "no") -> Behaviour:
    """It says this, and takes nothing."""

    async def behave(
        server: DingTalkServer, writer: asyncio.StreamWriter, _request: Request
    ) -> None:
        await server.say(writer, code, words)

    return behave


def status(code: int, headers: str = "") -> Behaviour:
    """It answers with this HTTP status, and takes nothing."""

    async def behave(
        server: DingTalkServer, writer: asyncio.StreamWriter, _request: Request
    ) -> None:
        await server.send(writer, code, b"", headers)

    return behave


def moved(where: str) -> Behaviour:
    """302: what a robot answers that was asked too often."""
    return status(302, f"Location: {where}\r\n")


def silence(*, takes: bool) -> Behaviour:
    """No answer ever; whether it takes the message."""

    async def behave(
        server: DingTalkServer, _writer: asyncio.StreamWriter, request: Request
    ) -> None:
        if takes:
            server.take(request)
        await asyncio.Event().wait()

    return behave


def cut(*, takes: bool) -> Behaviour:
    """The connection is cut before the answer; whether it takes the message."""

    async def behave(
        server: DingTalkServer, writer: asyncio.StreamWriter, request: Request
    ) -> None:
        if takes:
            server.take(request)
        writer.close()

    return behave


class _Printer(DingTalkServer):
    """Shows people what it takes on standard output."""

    def take(self, request: Request) -> None:
        super().take(request)
        shown = {"title": self.taken[-1].title, "text": self.taken[-1].text}
        sys.stdout.write(json.dumps(shown) + "\n")
        sys.stdout.flush()


async def _serve(host: str, port: int) -> None:
    async with _Printer().running(host, port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    asyncio.run(_serve(options.host, options.port))
