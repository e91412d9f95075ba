"""Sentinel's watchdog: is there one master, and is it the one that the Sentinels name?

All Sentinels and all servers are asked, each for itself. Two masters at a time are writes that will
be lost; none, or one that the Sentinels do not name, is an outage that nobody else may notice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import hiredis

from streamdesk.bus.connection import (
    Address,
    Connection,
    HostPort,
    Login,
    Words,
    in_time,
    pack,
    parse_address,
)
from streamdesk.bus.errors import BusUnavailableError
from streamdesk.operator.domain.decision import Transition
from streamdesk.runtime import Drain, logger, metrics

log = logger("watchdog")

ANSWER_SECONDS = 2.0
CONFIRMED_BY = 2
"""Rounds in a row that must say the same before anybody is told: a failover is in between."""

Tell = Callable[[Transition], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class SentinelSaid:
    """What one Sentinel knows.

    Args:
        sentinel: where it is.
        master: whom it names.
        servers: all servers that it knows, the master included.
    """

    sentinel: HostPort
    master: HostPort
    servers: frozenset[HostPort]


@dataclass(frozen=True, slots=True)
class ServerSaid:
    """What one server says of itself.

    Args:
        address: under which it was asked.
        is_master: whether it says so.
        run_id: the same under each of its addresses.
    """

    address: HostPort
    is_master: bool
    run_id: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What comes of it.

    Args:
        masters: servers that say that they are the master.
        agrees: there is one, and all Sentinels that answered name it.
        message: the same as a sentence.
    """

    masters: int
    agrees: bool
    message: str


def verdict_of(sentinels: Sequence[SentinelSaid], servers: Sequence[ServerSaid]) -> Verdict:
    """Compare what was said. A server may have been asked under several addresses.

    Args:
        sentinels: those that answered.
        servers: those that answered.
    """
    by_address = {server.address: server for server in servers}
    masters = {server.run_id: server.address for server in servers if server.is_master}
    named = {said.master for said in sentinels}
    named_ids = {by_address[at].run_id for at in named if at in by_address}
    agrees = (
        len(masters) == 1 and named_ids == set(masters) and all(at in by_address for at in named)
    )
    says = ", ".join(_name(at) for at in sorted(masters.values())) or "nobody"
    told = ", ".join(_name(at) for at in sorted(named)) or "nobody"
    message = (
        f"{says} says that it is the master; {len(sentinels)} Sentinels that answered name {told}; "
        f"{len({server.run_id for server in servers})} servers answered"
    )
    return Verdict(len(masters), agrees, message)


def _name(host: HostPort) -> str:
    return f"{host[0]}:{host[1]}"


def pairs_of(flat: Sequence[bytes]) -> dict[str, str]:
    """A reply of names and values in turn."""
    texts = [part.decode() for part in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))


class Watchdog:
    """Asks all Sentinels and all servers, again and again.

    Args:
        address: a redis+sentinel:// URL, taken apart.
        tell: posts an event.
        seconds: between two rounds.
    """

    def __init__(self, address: Address, tell: Tell, seconds: float) -> None:
        self._address = address
        self._tell = tell
        self._seconds = seconds
        self._rounds_as_now = 0
        self._agreed: bool | None = None
        self._told: bool | None = True

    async def run(self, drain: Drain) -> None:
        """Ask until the drain."""
        while True:
            await self._note(await self.ask())
            if await drain.sleep(self._seconds):
                return

    async def ask(self) -> Verdict:
        """Ask everybody once. Who does not answer has no say."""
        asked = [self._ask_sentinel(host) for host in self._address.hosts]
        sentinels = [said for said in await asyncio.gather(*asked) if said is not None]
        known = sorted({host for said in sentinels for host in said.servers})
        servers = await asyncio.gather(*[self._ask_server(host) for host in known])
        return verdict_of(sentinels, [said for said in servers if said is not None])

    async def _note(self, verdict: Verdict) -> None:
        service = self._address.service
        metrics.REDIS_MASTERS.labels(service).set(verdict.masters)
        metrics.REDIS_MASTER_AGREES.labels(service).set(verdict.agrees)
        same = verdict.agrees == self._agreed
        self._rounds_as_now = self._rounds_as_now + 1 if same else 1
        self._agreed = verdict.agrees
        if self._rounds_as_now < CONFIRMED_BY or verdict.agrees == self._told:
            return
        self._told = verdict.agrees
        if verdict.agrees:
            await self._tell(Transition("RedisMasterAgreed", verdict.message))
        else:
            await self._tell(Transition("RedisMasterDisputed", verdict.message, warning=True))

    async def _ask_sentinel(self, host: HostPort) -> SentinelSaid | None:
        service = self._address.service
        answers = await self._answers(
            host,
            self._address.sentinel_login,
            ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service),
            ("SENTINEL", "REPLICAS", service),
        )
        if answers is None or not answers[0]:
            return None
        master = (answers[0][0].decode(), int(answers[0][1]))
        rows = [pairs_of(row) for row in answers[1]]
        replicas = {(row["ip"], int(row["port"])) for row in rows}
        return SentinelSaid(host, master, frozenset({master, *replicas}))

    async def _ask_server(self, host: HostPort) -> ServerSaid | None:
        answers = await self._answers(host, self._address.login, ("ROLE",), ("INFO", "server"))
        if answers is None:
            return None
        lines = answers[1].decode().splitlines()
        run_id = next((line[7:] for line in lines if line.startswith("run_id:")), _name(host))
        return ServerSaid(host, answers[0][0] == b"master", run_id)

    async def _answers(self, host: HostPort, login: Login, *questions: Words) -> list[Any] | None:
        """The answers to these questions; None when there are none, or errors."""
        loop, commands = asyncio.get_running_loop(), [*filter(None, [login.words]), *questions]
        dialling = loop.create_connection(
            lambda: Connection(_name(host)), *host, ssl=self._address.tls
        )
        try:
            _, connection = await in_time(dialling, ANSWER_SECONDS)
        except (OSError, TimeoutError):
            return None
        try:
            payload = b"".join(pack(words) for words in commands)
            answers = await connection.send(payload, len(commands), ANSWER_SECONDS)
        except BusUnavailableError:
            return None
        finally:
            connection.abort("asked what we wanted to know")
        refused = [one for one in answers if isinstance(one, hiredis.ReplyError)]
        if refused:
            log.warning("question refused", server=_name(host), error=str(refused[0]))
            return None
        return answers[-len(questions) :]


def watchdog_of(url: str, tell: Tell, seconds: float) -> Watchdog | None:
    """The watchdog of this server; None where there are no Sentinels.

    Args:
        url: of the operator's Redis.
        tell: posts an event.
        seconds: between two rounds.

    Raises:
        BusConfigError: the URL cannot be read.
    """
    if url.startswith("memory:"):
        return None
    address = parse_address(url)
    return Watchdog(address, tell, seconds) if address.service else None
