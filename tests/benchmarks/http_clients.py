"""Many HTTP clients in one process, cheap enough to measure only the server.

`python -m tests.benchmarks.http_clients` reads a `Load` as JSON from its input and prints an
`Answered` as JSON. Each client has a connection that stays open, and asks again as soon as it is
answered, or at its pace.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import cast

import uvloop

LOOPBACK = "127.0.0.1"
HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length: "
SPREAD = 7  # so that clients start with different requests


@dataclass(frozen=True, slots=True)
class Load:
    """The load to generate.

    Args:
        ports: of the servers; the clients are distributed over them.
        clients: how many there are at once.
        path: where they post.
        bodies: what; each client begins at another one.
        requests: of each client.
        warm_up: number of first requests that do not count.
        pause_seconds: from an answer to the next question.
    """

    ports: tuple[int, ...]
    clients: int
    path: str
    bodies: tuple[str, ...]
    requests: int = 1
    warm_up: int = 0
    pause_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Answered:
    """The result.

    Args:
        statuses: answers by HTTP status.
        seconds: from question to answer, ascending.
        duration_seconds: from the first question to the last answer.
        last: the body of the last answer.
    """

    statuses: dict[str, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    duration_seconds: float = 0.0
    last: str = ""

    def percentile_ms(self, share: float) -> float:
        """As in 0.99, in milliseconds."""
        return 1000 * self.seconds[min(len(self.seconds) - 1, int(share * len(self.seconds)))]


class Client(asyncio.Protocol):
    """One connection with sequential requests; the callback of a response sends the next request.

    Args:
        requests: the requests to send, repeatedly.
        first: index of the first request.
        load: how often, and how fast.
    """

    def __init__(self, requests: list[bytes], first: int, load: Load) -> None:
        self._requests = requests
        self._first = first
        self._load = load
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._read = b""
        self._turn = 0
        self._began = 0.0
        self.done = self._loop.create_future()
        self.statuses: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.last = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)

    def ask(self) -> None:
        """Send the next question."""
        assert self._transport is not None
        self._began = time.perf_counter()
        self._transport.write(self._requests[(self._first + self._turn) % len(self._requests)])

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._read = self._read + data if self._read else data
        head = self._read.find(HEAD_END)
        if head < 0:
            return
        at = self._read.find(LENGTH, 0, head + 2)
        length = int(self._read[at + len(LENGTH) : self._read.find(b"\r", at)]) if at >= 0 else 0
        body = head + len(HEAD_END)
        if len(self._read) >= body + length:
            self._answered(self._read[9:12].decode(), self._read[body:])

    def _answered(self, status: str, body: bytes) -> None:
        if self._turn >= self._load.warm_up:
            self.seconds.append(time.perf_counter() - self._began)
        self.statuses[status] += 1
        self._read = b""
        self._turn += 1
        if self._turn == self._load.requests:
            self.last = body
            self.done.set_result(None)
        elif self._load.pause_seconds:
            self._loop.call_later(self._load.pause_seconds, self.ask)
        else:
            self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("the server closed"))

    def close(self) -> None:
        """Leave."""
        if self._transport is not None:
            self._transport.close()


def request(path: str, body: str) -> bytes:
    """A POST as bytes."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: {LOOPBACK}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def ask_all(load: Load) -> Answered:
    """Run the whole load against the servers."""
    loop = asyncio.get_running_loop()
    requests = [request(load.path, body) for body in load.bodies]
    clients: list[Client] = []
    for number in range(load.clients):
        make = partial(Client, requests, number * SPREAD, load)
        port = load.ports[number % len(load.ports)]
        clients.append((await loop.create_connection(make, LOOPBACK, port))[1])
    began = time.perf_counter()
    for client in clients:
        client.ask()
    await asyncio.gather(*(client.done for client in clients))
    duration_seconds = time.perf_counter() - began
    statuses: Counter[str] = Counter()
    for client in clients:
        client.close()
        statuses += client.statuses
    seconds = sorted(took for client in clients for took in client.seconds)
    return Answered(dict(statuses), seconds, duration_seconds, clients[-1].last.decode())


def main() -> None:
    """Read a load, run it, print the result."""
    load = Load(**json.load(sys.stdin))
    answered = asyncio.Runner(loop_factory=uvloop.new_event_loop).run(ask_all(load))
    sys.stdout.write(json.dumps(asdict(answered)))


if __name__ == "__main__":
    main()
