"""The server as the bus sees it: always the present master, over a few shared connections.

Two shared connections carry everything that answers at once: one for all commands, one for writes
that wait for replicas, which would hold up the others. A blocking read takes a connection of its
own. A process has one `Server`, whatever the number of its consumers.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import hiredis

from streamdesk.bus.config import BusConfig
from streamdesk.bus.connection.address import HostPort, parse_address
from streamdesk.bus.connection.refusals import MasterMovedError, refusal
from streamdesk.bus.connection.sentinels import Sentinels
from streamdesk.bus.connection.wire import Connection, Reply, Words, in_time, pack
from streamdesk.bus.errors import BusConfigError, BusError, BusUnavailableError

Lane = Literal["commands", "durable"]
LONGEST_CONNECT_SECONDS = 2.0
KEEPALIVE_SECONDS = 5
UNBLOCK_SECONDS = 0.02
LATE_SECONDS = 3.0
"""How much later than the first the last Sentinel may announce a new master."""


class Server:
    """The master and our connections to it."""

    def __init__(self, config: BusConfig) -> None:
        """Not connected yet; raises BusConfigError when the URL cannot be read."""
        self._address = parse_address(config.url)
        self._timeout_seconds = config.socket_timeout_seconds
        self._connect_seconds = min(LONGEST_CONNECT_SECONDS, config.socket_timeout_seconds)
        self._client_name = f"streamdesk-{config.service}"
        self._lanes: dict[Lane, Connection] = {}
        self._locks: dict[Lane, asyncio.Lock] = {
            "commands": asyncio.Lock(),
            "durable": asyncio.Lock(),
        }
        self._waiting: dict[Lane, int] = {"commands": 0, "durable": 0}
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._announced: HostPort | None = None
        self._left: dict[HostPort, float] = {}
        """When another master was announced than the one before."""
        self.on_move: Callable[[], None] = lambda: None
        """Called when the Sentinels announce another master."""
        self._sentinels = (
            Sentinels(self._address, self._reach_sentinel, self._connect_seconds, self._moved)
            if self._address.service
            else None
        )

    async def send(
        self, commands: Sequence[Words], *, lane: Lane = "commands", extra_seconds: float = 0.0
    ) -> list[Reply]:
        """Commands in one round trip; error answers are among the answers.

        Args:
            commands: what to do, in order, but not as a transaction.
            lane: which of the shared connections.
            extra_seconds: how much longer than usual the answer may take.

        Raises:
            BusUnavailableError: not all were answered; each may or may not have been executed.
        """
        if not commands:
            return []
        payload = b"".join([pack(words) for words in commands])
        return await self.send_packed(payload, len(commands), lane, extra_seconds)

    async def send_packed(
        self, payload: bytes, answers: int, lane: Lane = "commands", extra_seconds: float = 0.0
    ) -> list[Reply]:
        """The same with commands that are packed already."""
        connection = self._lanes.get(lane)
        # A call must not overtake those that wait for the connection.
        if connection is None or connection.closed or self._waiting[lane]:
            connection = await self._open_lane(lane)
        return await connection.send(payload, answers, self._timeout_seconds + extra_seconds)

    async def _open_lane(self, lane: Lane) -> Connection:
        self._waiting[lane] += 1
        try:
            async with self._locks[lane]:
                connection = self._lanes.get(lane)
                if connection is None or connection.closed:
                    connection = self._lanes[lane] = await self._reach_master()
                return connection
        finally:
            self._waiting[lane] -= 1

    async def send_blocking(
        self, words: Words, block_seconds: float, stopped: asyncio.Future[Any] | None = None
    ) -> Reply:
        """A command that may block, on a connection of its own.

        Args:
            words: the command.
            block_seconds: how long the server may hold it.
            stopped: when this is done the server is asked to answer now: what it has handed out
                by then arrives. A caller that is cancelled instead may miss an answer.

        Raises:
            BusUnavailableError: as `send`.
        """
        while self._idle and self._idle[-1].closed:
            self._idle.pop()
        connection = self._idle.pop() if self._idle else await self._reach_master()
        future = connection.send(pack(words), 1, self._timeout_seconds + block_seconds)
        try:
            if stopped is not None:
                await asyncio.wait([future, stopped], return_when=asyncio.FIRST_COMPLETED)
                while not future.done():
                    # It may overtake the command that it is to end: then once more.
                    await self.send([("CLIENT", "UNBLOCK", connection.client_id)])
                    await asyncio.wait([future], timeout=UNBLOCK_SECONDS)
            (answer,) = await future
        except BaseException:
            # An answer may still come: no other call can use the connection.
            future.cancel()
            connection.abort("not needed any more")
            raise
        self._idle.append(connection)
        return answer

    def checked(self, answer: Reply) -> Reply:
        """The answer, unless it is an error.

        Raises:
            BusError: what the error answer means; when it says that the master is another, all
                connections are dropped, so that the next call finds that one.
        """
        if isinstance(answer, hiredis.ReplyError):
            error = refusal(answer)
            if isinstance(error, MasterMovedError):
                self.drop(str(error))
            raise error
        return answer

    @property
    def is_failing_over(self) -> bool:
        """Whether the Sentinels are about to make another server the master."""
        return self._sentinels is not None and self._sentinels.is_failing_over

    def drop(self, why: str) -> None:
        """End all connections; requests without an answer fail with this reason."""
        connections, self._all = self._all, set()
        self._lanes.clear()
        self._idle.clear()
        for connection in connections:
            connection.abort(why)

    def drop_idle(self) -> None:
        """End the connections that no call uses: after an outage they are probably dead."""
        idle, self._idle = self._idle, []
        for connection in idle:
            self._all.discard(connection)
            connection.abort("not used during an outage")

    def _moved(self, to: HostPort) -> None:
        """A Sentinel announced a master; others may not know it yet.

        One that is late may announce a failover before the last: a master that we have just left
        is believed only if the Sentinel with the highest epoch names it.
        """
        now = time.monotonic()
        if self._announced is not None and self._announced != to:
            self._left[self._announced] = now
        is_stale = now - self._left.get(to, -LATE_SECONDS) < LATE_SECONDS
        self._announced = None if is_stale else to
        if any(connection.name != _name(to) for connection in self._all):
            self.drop(f"the master is {_name(to)} now")
        self.on_move()

    async def close(self) -> None:
        """End all connections and stop listening to the Sentinels."""
        if self._sentinels is not None:
            await self._sentinels.close()
        self.drop("the bus was closed")
        await asyncio.sleep(0)  # lets the transports close

    async def _reach_master(self) -> Connection:
        """A new connection to the present master, ready for use."""
        self._all = {connection for connection in self._all if not connection.closed}
        announced = self._announced
        try:
            host = announced or await self._where()
            connection = await self._reach(
                host,
                [
                    self._address.login.words,
                    ("SELECT", self._address.database) if self._address.database else (),
                    ("CLIENT", "SETNAME", self._client_name),
                    ("CLIENT", "ID"),
                ],
            )
            self._all.add(connection)
            if self._sentinels is not None:
                await self._refuse_replica(connection)
        except BusUnavailableError:
            if self._announced == announced:
                self._announced = None  # ask the Sentinels again
            raise
        return connection

    async def _where(self) -> HostPort:
        if self._sentinels is None:
            return (self._address.hosts or (("", 0),))[0]
        return await self._sentinels.master()

    async def _refuse_replica(self, connection: Connection) -> None:
        """Sentinels may be behind: the server itself must say that it is the master."""
        (role,) = await connection.send(pack(("ROLE",)), 1, self._connect_seconds)
        role = self.checked(role)
        if role[0] != b"master":
            connection.abort("not the master")
            raise BusUnavailableError(f"{connection.name} is a {role[0].decode()}, not the master")

    async def _reach_sentinel(self, host: HostPort) -> Connection:
        return await self._reach(host, [self._address.sentinel_login.words])

    async def _reach(self, host: HostPort, greeting: Sequence[Words]) -> Connection:
        """A connection that has been greeted.

        Raises:
            BusUnavailableError: nothing listens there, or not in time.
            BusConfigError: the server wants another user or password.
        """
        name = self._address.path or _name(host)
        connection = Connection(name)
        try:
            await in_time(self._dial(host, connection), self._connect_seconds)
        except BaseException as error:
            connection.abort("not made in time")
            if isinstance(error, (OSError, TimeoutError)):
                why = str(error) or "no connection in time"
                raise BusUnavailableError(f"{name}: {why}") from error
            raise
        words = [line for line in greeting if line]
        if words:
            payload = b"".join([pack(line) for line in words])
            try:
                answers = await connection.send(payload, len(words), self._connect_seconds)
                connection.client_id = [self.checked(answer) for answer in answers][-1]
            except BaseException as error:
                connection.abort("not greeted")
                if type(error) is BusError:  # no such database, or a password where none is set
                    raise BusConfigError(
                        f"{name} does not take the url's login or database: {error}"
                    ) from None
                raise
        return connection

    async def _dial(self, host: HostPort, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        if self._address.path:
            await loop.create_unix_connection(lambda: connection, self._address.path)
            return
        transport, _ = await loop.create_connection(
            lambda: connection, *host, ssl=self._address.tls
        )
        _keep_alive(transport)


def _name(host: HostPort) -> str:
    return f"{host[0]}:{host[1]}"


def _keep_alive(transport: asyncio.BaseTransport) -> None:
    """Let the system notice a peer that vanished without a word."""
    tcp_socket: socket.socket | None = transport.get_extra_info("socket")
    if tcp_socket is None:
        return
    tcp_socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):  # not everywhere
        if hasattr(socket, name):
            tcp_socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), KEEPALIVE_SECONDS)
