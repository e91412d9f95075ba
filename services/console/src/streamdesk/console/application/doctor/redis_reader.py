"""Asks the data server, all Sentinels, and all servers that these know."""

import asyncio
import time
from typing import Any

import hiredis

from streamdesk.bus.address import Address, HostPort, parse_address
from streamdesk.console.adapters.redis_questions import (
    NoAnswerError,
    ask,
    lines_of,
    named,
    pairs,
    refused,
)
from streamdesk.console.application.doctor.redis import ServerFacts, check_server
from streamdesk.console.application.doctor.sentinels import (
    NodeFacts,
    SentinelFacts,
    check_sentinels,
)
from streamdesk.console.domain.finding import (
    CHECKS,
    Finding,
    failed,
    not_applicable,
    unknown,
)

ADVICE = "start the server, thaw it, or correct REDIS_URL"


async def examine_redis(url: str, *, clustered: bool) -> list[Finding]:
    """The checks of the data server.

    Args:
        url: as `streamdesk.bus.address` lists them.
        clustered: whether we are in Kubernetes.
    """
    address = parse_address(url)
    try:
        host = await server_of(address)
        facts = await _server(address, host, clustered=clustered or bool(address.service))
    except NoAnswerError as error:
        broken = failed("redis.server", str(error), ADVICE)
        rest = CHECKS["redis"][1:]
        why = "the server does not answer"
        return [broken, *(unknown(f"redis.{name}", why, "see redis.server") for name in rest)]
    return check_server(facts)


async def server_of(address: Address) -> HostPort | None:
    """Where the data server is; None for a Unix socket.

    Raises:
        NoAnswerError: no Sentinel names a master.
    """
    if not address.service:
        return address.hosts[0] if address.hosts else None
    said = await asyncio.gather(*(_sentinel(address, host) for host in address.hosts))
    masters = [one for _, one in said if one is not None]
    if not masters:
        whys = "; ".join(f"{facts.address} {facts.error}" for facts, _ in said)
        raise NoAnswerError(f"no Sentinel names the master of {address.service!r}: {whys}")
    return max(masters, key=masters.count)


async def _server(address: Address, host: HostPort | None, *, clustered: bool) -> ServerFacts:
    name = named(host) if host else address.path
    try:
        answers, seconds = await ask(address, host, address.login, ("TIME",), ("INFO",))
    except NoAnswerError as error:
        raise NoAnswerError(f"{name} {error}") from None
    now = time.time()
    if problem := refused(answers):
        raise NoAnswerError(f"{name}: {problem}")
    (whole, part), info = answers
    return ServerFacts(
        address=name,
        info=lines_of(info),
        clock_seconds=int(whole) + int(part) / 1e6 - (now - seconds / 2),
        clock_error_seconds=seconds / 2,
        clustered=clustered,
    )


async def examine_sentinels(url: str) -> list[Finding]:
    """The checks of the Sentinels; they do not apply where the URL names none."""
    address = parse_address(url)
    if not address.service:
        why = "the URL names one server and no Sentinels"
        return [not_applicable(f"sentinels.{name}", why) for name in CHECKS["sentinels"]]
    said = await asyncio.gather(*(_sentinel(address, host) for host in address.hosts))
    known = {host for _, host in said if host is not None}
    rows = await asyncio.gather(*(_replicas(address, host) for host in address.hosts))
    known |= {host for row in rows for host in row}
    nodes = await asyncio.gather(*(_node(address, host) for host in sorted(known)))
    return check_sentinels([facts for facts, _ in said], nodes)


async def _sentinel(address: Address, host: HostPort) -> tuple[SentinelFacts, HostPort | None]:
    """What one Sentinel says, and whom it names."""
    service = address.service
    try:
        (row, quorum), _ = await ask(
            address,
            host,
            address.sentinel_login,
            ("SENTINEL", "MASTER", service),
            ("SENTINEL", "CKQUORUM", service),
        )
    except NoAnswerError as error:
        return SentinelFacts(named(host), error=str(error)), None
    if isinstance(row, hiredis.ReplyError):
        return SentinelFacts(named(host), error=f"does not know {service!r} ({row})"), None
    told = pairs(row)
    master = (told.get("ip", ""), int(told.get("port", "0")))
    facts = SentinelFacts(
        address=named(host),
        master=named(master),
        flags=frozenset(told.get("flags", "").split(",")),
        quorum=int(told.get("quorum", "0")),
        others=int(told.get("num-other-sentinels", "0")),
        ckquorum=_quorum(quorum),
    )
    return facts, master


def _quorum(answer: Any) -> str:  # noqa: ANN401 - what hiredis makes of an answer
    if isinstance(answer, hiredis.ReplyError):
        text = str(answer)
        return "" if text.startswith("NOPERM") else text
    return bytes(answer).decode(errors="replace")


async def _replicas(address: Address, host: HostPort) -> set[HostPort]:
    """The replicas that one Sentinel knows; none when it does not answer: `_sentinel` says so."""
    question = ("SENTINEL", "REPLICAS", address.service)
    try:
        (rows,), _ = await ask(address, host, address.sentinel_login, question)
    except NoAnswerError:
        return set()
    if isinstance(rows, hiredis.ReplyError):
        return set()
    told = [pairs(row) for row in rows]
    return {(row["ip"], int(row["port"])) for row in told}


async def _node(address: Address, host: HostPort) -> NodeFacts:
    try:
        answers, _ = await ask(
            address, host, address.login, ("INFO", "replication"), ("INFO", "server")
        )
    except NoAnswerError as error:
        return NodeFacts(named(host), error=str(error))
    if problem := refused(answers):
        return NodeFacts(named(host), error=problem)
    info = lines_of(answers[0]) | lines_of(answers[1])
    good = info.get("min_slaves_good_slaves")  # told where a minimum is set
    return NodeFacts(
        address=named(host),
        role=info.get("role", ""),
        follows=f"{info.get('master_host', '')}:{info.get('master_port', '')}",
        link_up=info.get("master_link_status") == "up",
        run_id=info.get("run_id", named(host)),
        good_replicas=None if good is None else int(good),
    )
