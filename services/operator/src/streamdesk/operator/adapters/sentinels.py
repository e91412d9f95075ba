"""Asks Sentinels and Redis servers for the master, each one on its own connection."""

import asyncio
from collections.abc import Sequence
from typing import Any

import hiredis

from streamdesk.bus.connection import (
    Address,
    Connection,
    Login,
    Words,
    in_time,
    pack,
    parse_address,
)
from streamdesk.bus.errors import BusUnavailableError
from streamdesk.operator.domain.masters import HostPort, SentinelReport, ServerReport, name_of
from streamdesk.runtime import logger

log = logger(__name__)

ANSWER_SECONDS = 2.0


class SentinelClient:
    """Asks all Sentinels of an address, and all servers that they know.

    Args:
        address: a parsed redis+sentinel:// URL.
    """

    def __init__(self, address: Address) -> None:
        self._address = address

    @property
    def service(self) -> str | None:
        """The name of the master that the Sentinels watch."""
        return self._address.service

    async def ask(self) -> tuple[list[SentinelReport], list[ServerReport]]:
        """Ask all of them once; those that do not answer have no report."""
        asked = [self._ask_sentinel(host) for host in self._address.hosts]
        sentinels = [report for report in await asyncio.gather(*asked) if report is not None]
        known = sorted({host for report in sentinels for host in report.servers})
        servers = await asyncio.gather(*[self._ask_server(host) for host in known])
        return sentinels, [report for report in servers if report is not None]

    async def _ask_sentinel(self, host: HostPort) -> SentinelReport | None:
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
        rows = [_pairs(row) for row in answers[1]]
        replicas = {(row["ip"], int(row["port"])) for row in rows}
        return SentinelReport(host, master, frozenset({master, *replicas}))

    async def _ask_server(self, host: HostPort) -> ServerReport | None:
        answers = await self._answers(host, self._address.login, ("ROLE",), ("INFO", "server"))
        if answers is None:
            return None
        lines = answers[1].decode().splitlines()
        run_id = next((line[7:] for line in lines if line.startswith("run_id:")), name_of(host))
        return ServerReport(host, answers[0][0] == b"master", run_id)

    async def _answers(self, host: HostPort, login: Login, *questions: Words) -> list[Any] | None:
        """The answers to these questions; None if there are none, or errors among them."""
        loop, commands = asyncio.get_running_loop(), [*filter(None, [login.words]), *questions]
        dialling = loop.create_connection(
            lambda: Connection(name_of(host)), *host, ssl=self._address.tls
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
            connection.abort("all questions were asked")
        refused = [one for one in answers if isinstance(one, hiredis.ReplyError)]
        if refused:
            log.warning("question refused", server=name_of(host), error=str(refused[0]))
            return None
        return answers[-len(questions) :]


def _pairs(flat: Sequence[bytes]) -> dict[str, str]:
    """A reply of alternating names and values."""
    texts = [part.decode() for part in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def sentinels_of(url: str) -> SentinelClient | None:
    """A client for the Sentinels of a Redis URL; None if it names none.

    Raises:
        BusConfigError: the URL is invalid.
    """
    if url.startswith("memory:"):
        return None
    address = parse_address(url)
    return SentinelClient(address) if address.service else None
