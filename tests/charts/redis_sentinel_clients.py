"""Clients of a server with users: through the bus, and with single commands."""

import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import hiredis

from streamdesk.bus import Bus, BusConfig, RetryPolicy
from streamdesk.contracts import topics
from tests.charts.redis_sentinel_chart import password_of
from tests.servers import LOOPBACK, StreamServer

PRODUCED = [(service, topic) for topic in topics.TOPICS for service in topic.producers]
READ = [
    (consumer.service, topic)
    for topic in topics.TOPICS
    for consumer in topic.consumers
    if consumer.service != "console"  # a person's, who is `admin`
]
SERVICES = sorted({service for service, _ in PRODUCED + READ} | {"operator"})


def config_of(server: StreamServer, user: str) -> BusConfig:
    url = f"redis://{user}:{password_of(user)}@{LOOPBACK}:{server.port}/0"
    retry = RetryPolicy(max_retries=1, base_seconds=0.01)
    return BusConfig(url=url, service=user, retry=retry, publish_timeout_seconds=30)


@asynccontextmanager
async def bus_of(server: StreamServer, user: str) -> AsyncIterator[Bus]:
    async with Bus.connect(config_of(server, user)) as bus:
        yield bus


def ask_as(server: StreamServer, user: str, *words: str | int) -> Any:
    """One command of a user; raises hiredis.ReplyError as the server answers."""
    reader = hiredis.Reader(encoding="utf-8")
    answer: Any = None
    with contextlib.closing(socket.create_connection((LOOPBACK, server.port), 30)) as line:
        for command in (("AUTH", user, password_of(user)), words):
            packed: Any = tuple(str(word) for word in command)
            line.sendall(hiredis.pack_command(packed))
            while (answer := reader.gets()) is False:
                reader.feed(line.recv(65536))
            if isinstance(answer, hiredis.ReplyError):
                raise answer
    return answer
