"""The address of the master: asked of the Sentinels, and announced by them when it changes."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import hiredis

from streamdesk.bus.connection.address import Address, HostPort
from streamdesk.bus.connection.wire import Connection, pack
from streamdesk.bus.errors import BusUnavailableError

LISTEN_AGAIN_SECONDS = 1.0
LAST_WORD_SECONDS = 0.05
TRY_SECONDS = 60.0
"""How long a failover that was begun is taken for under way when nothing more is heard of it."""

CHANNELS = ("+switch-master", "+promoted-slave", "+try-failover", "-failover-abort-*")
"""All Sentinels say the first at the end of a failover. The one that leads it says the second when
the new master has its role, up to a second earlier, and the third before a replica is promoted."""

Connect = Callable[[HostPort], Awaitable[Connection]]


@dataclass(frozen=True, slots=True, order=True)
class _Opinion:
    """What one Sentinel says; the highest epoch knows the latest failover."""

    epoch: int
    master: HostPort


class Sentinels:
    """All Sentinels of one service."""

    def __init__(
        self,
        address: Address,
        connect: Connect,
        timeout_seconds: float,
        moved: Callable[[HostPort], None],
    ) -> None:
        """No Sentinel is asked yet.

        Args:
            address: the Sentinels and the name of the service.
            connect: opens a connection to one of them.
            timeout_seconds: longest wait for a Sentinel's answer.
            moved: called with the new master as soon as a Sentinel says so.
        """
        self._address = address
        self._connect = connect
        self._timeout_seconds = timeout_seconds
        self._moved = moved
        self._listeners: list[asyncio.Task[None]] = []
        self._tries: dict[HostPort, float] = {}

    async def master(self) -> HostPort:
        """The address of the master, by the Sentinel that knows of the latest failover.

        All are asked at once. Once most have answered the others have a moment left: one of them
        may lead a failover of which the rest do not know yet. A dead one delays nothing more.

        Raises:
            BusUnavailableError: none of them knows it; says what each answered.
        """
        self._listen()
        asked = {asyncio.ensure_future(self._ask(host)) for host in self._address.hosts}
        waiting, opinions, failures = set(asked), list[_Opinion](), list[str]()
        try:
            while waiting:
                most = len(opinions) > len(asked) // 2
                done, waiting = await asyncio.wait(
                    waiting,
                    timeout=LAST_WORD_SECONDS if most else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not done:
                    break
                for answer in done:
                    error = answer.exception()
                    if error is None:
                        opinions.append(answer.result())
                    elif isinstance(error, BusUnavailableError):
                        failures.append(str(error))
                    else:
                        raise error
        finally:
            for question in asked:
                question.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        if not opinions:
            raise BusUnavailableError(
                f"no Sentinel knows the master of {self._address.service!r}: {'; '.join(failures)}"
            )
        return max(opinions).master

    async def _ask(self, host: HostPort) -> _Opinion:
        connection = await self._connect(host)
        try:
            service = self._address.service
            # The first knows the new master as soon as it is promoted, the second its epoch.
            questions = pack(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service))
            questions += pack(("SENTINEL", "MASTER", service))
            answers = await connection.send(questions, 2, self._timeout_seconds)
        finally:
            connection.abort("the question was answered")
        for answer in answers:
            if answer is None or isinstance(answer, hiredis.ReplyError):
                raise BusUnavailableError(f"Sentinel {host[0]}:{host[1]}: {answer or 'unknown'}")
        (name, port), known = answers
        epoch = dict(zip(known[::2], known[1::2], strict=True))[b"config-epoch"]
        return _Opinion(int(epoch), (name.decode(), int(port)))

    def _listen(self) -> None:
        if not self._listeners:
            self._listeners = [
                asyncio.create_task(self._hear(host)) for host in self._address.hosts
            ]

    async def _hear(self, host: HostPort) -> None:
        """Follow one Sentinel's announcements indefinitely; it may disappear and come back."""
        while True:
            with contextlib.suppress(BusUnavailableError):
                await self._hear_while_connected(host)
            await asyncio.sleep(LISTEN_AGAIN_SECONDS)

    async def _hear_while_connected(self, host: HostPort) -> None:
        connection = await self._connect(host)
        try:
            said = connection.subscribe(*CHANNELS)
            while (message := await said.get()) is not None:
                if isinstance(message, list) and message[0] == b"pmessage":
                    self._hear_one(host, message[2].decode(), message[3].decode().split())
        finally:
            connection.abort("stopped listening")
            self._tries.pop(host, None)

    def _hear_one(self, sentinel: HostPort, channel: str, words: list[str]) -> None:
        """What a Sentinel says.

        `<service> <old> <port> <new> <port>`, `slave <name> <ip> <port> @ <service> …`, or
        `master <service> <ip> <port>`.
        """
        service = self._address.service
        if channel == "+switch-master" and words[0] == service:
            self._tries.clear()
            self._moved((words[3], int(words[4])))
        elif channel == "+promoted-slave" and words[5] == service:
            self._tries.clear()
            self._moved((words[2], int(words[3])))
        elif channel == "+try-failover" and words[1] == service:
            self._tries[sentinel] = time.monotonic()
        elif channel.startswith("-failover-abort") and words[1] == service:
            self._tries.pop(sentinel, None)

    @property
    def is_failing_over(self) -> bool:
        """Whether a replica may have been promoted while the old master does not know it.

        What the old master says then is not to be relied on, confirmed by replicas or not: those
        that confirmed may lose it to the one that was promoted.
        """
        since = time.monotonic() - TRY_SECONDS
        return any(began > since for began in self._tries.values())

    async def close(self) -> None:
        """Stop listening."""
        for listener in self._listeners:
            listener.cancel()
        await asyncio.gather(*self._listeners, return_exceptions=True)
        self._listeners = []
