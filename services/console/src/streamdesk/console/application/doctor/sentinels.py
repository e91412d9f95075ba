"""The Sentinels and the servers that they know: one master watched, and another ready."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import hiredis

from streamdesk.bus.connection import Address, HostPort, parse_address
from streamdesk.console.adapters.redis_questions import (
    NoAnswerError,
    ask,
    lines_of,
    named,
    pairs,
    refused,
)
from streamdesk.console.domain.finding import (
    CHECKS,
    Finding,
    failed,
    merged,
    not_applicable,
    warning,
)

DOWN = {"s_down", "o_down", "disconnected"}
LOG = "look at its log and at the network between the pods"


@dataclass(frozen=True, slots=True)
class SentinelFacts:
    """What one Sentinel says.

    Args:
        address: where it is.
        error: why it said nothing; empty when it did.
        master: the address that it names.
        flags: what it thinks of the master.
        quorum: how many of them must agree that a master is down.
        others: other Sentinels that it knows.
        ckquorum: its answer to CKQUORUM; empty when it may not be asked.
    """

    address: str
    error: str = ""
    master: str = ""
    flags: frozenset[str] = frozenset()
    quorum: int = 0
    others: int = 0
    ckquorum: str = ""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What one data server says of itself.

    Args:
        address: under which the Sentinels know it.
        error: why it said nothing; empty when it did.
        role: `master` or `slave`.
        follows: the master of a replica.
        link_up: whether a replica is connected to it.
        run_id: the same under each of its addresses.
        good_replicas: what a master counts as such; None where no minimum is set.
    """

    address: str
    error: str = ""
    role: str = ""
    follows: str = ""
    link_up: bool = False
    run_id: str = ""
    good_replicas: int | None = None


def check_sentinels(
    sentinels: Sequence[SentinelFacts], nodes: Sequence[NodeFacts]
) -> list[Finding]:
    """The findings from all Sentinels and servers.

    Args:
        sentinels: each one that the URL names.
        nodes: each server that one of them knows.
    """
    return [quorum(sentinels), master(sentinels, nodes), replicas(sentinels, nodes)]


def quorum(sentinels: Sequence[SentinelFacts]) -> Finding:
    """Enough of them must see each other, or no replica is promoted."""
    check = "sentinels.quorum"
    answered = [one for one in sentinels if not one.error]
    # One that is silent is a warning: the others may still have a quorum, as CKQUORUM says below.
    problems = [
        warning(check, f"Sentinel {one.address}: {one.error}", LOG)
        for one in sentinels
        if one.error
    ]
    problems += [
        failed(
            check,
            f"Sentinel {one.address}: {one.ckquorum}",
            "start the missing Sentinels: without a quorum no replica replaces a dead master",
        )
        for one in answered
        if one.ckquorum and not one.ckquorum.startswith("OK")
    ]
    # A Sentinel that sees too few of the others votes alone after a network partition.
    problems += [
        warning(check, f"Sentinel {one.address} sees {one.others} of the others", LOG)
        for one in answered
        if one.others + 1 < len(sentinels)
    ]
    if not answered:
        problems.append(failed(check, "no Sentinel answers", "start them, or correct REDIS_URL"))
    wanted = max((one.quorum for one in answered), default=0)
    well = f"{len(answered)} of {len(sentinels)} Sentinels answer, quorum {wanted}"
    return merged(check, problems, well)


def master(sentinels: Sequence[SentinelFacts], nodes: Sequence[NodeFacts]) -> Finding:
    """One master, named by all, that says so itself."""
    check = "sentinels.master"
    named = sorted({one.master for one in sentinels if one.master})
    problems: list[Finding] = []
    if not named:
        problems.append(failed(check, "no Sentinel names a master", LOG))
    if len(named) > 1:
        problems.append(
            failed(
                check,
                f"the Sentinels name different masters: {', '.join(named)}",
                "wait for a failover to end; if it persists, SENTINEL RESET on those behind",
            )
        )
    problems += [
        failed(check, f"{address} is named and {wrong}", LOG)
        for address in named
        if (wrong := _no_master(address, nodes))
    ]
    problems += _split_brain(check, nodes)
    # Flags come before a failover: the master that is named may be about to be replaced.
    down = sorted({flag for one in sentinels for flag in one.flags & DOWN})
    if down:
        problems.append(failed(check, f"a Sentinel calls the master {', '.join(down)}", LOG))
    return merged(check, problems, f"{', '.join(named)}, and it says so")


def _split_brain(check: str, nodes: Sequence[NodeFacts]) -> list[Finding]:
    """More than one server that takes writes, which the Sentinels alone would not show."""
    # By run id: Sentinels may know one server under several addresses.
    masters = {one.run_id: one.address for one in nodes if one.role == "master"}
    if len(masters) <= 1:
        return []
    return [
        failed(
            check,
            f"{len(masters)} servers say that they are the master: {', '.join(masters.values())}",
            "end the one that the Sentinels do not name: what is written to it is lost",
        )
    ]


def _no_master(address: str, nodes: Sequence[NodeFacts]) -> str:
    node = next((one for one in nodes if one.address == address), None)
    if node is None or node.error:
        return f"does not answer ({node.error if node else 'not asked'})"
    return "" if node.role == "master" else f"says that it is a {node.role or 'nothing'}"


def replicas(sentinels: Sequence[SentinelFacts], nodes: Sequence[NodeFacts]) -> Finding:
    """A replica must be there to be promoted, and have all that the master has."""
    check = "sentinels.replicas"
    named = {one.master for one in sentinels}
    others = [one for one in nodes if one.address not in named]
    problems = [
        warning(check, wrong, LOG) for one in others if (wrong := _not_following(one, named))
    ]
    good = len(others) - len(problems)
    if not good:
        why = "no replica follows the master: if it dies there is none to promote"
        problems.append(failed(check, why, "start a replica, and look at its log"))
    leader = next((one for one in nodes if one.role == "master" and one.address in named), None)
    if leader is not None:
        problems += _minimum(check, leader)
    return merged(check, problems, f"{good} of {len(others)} replicas follow the master")


def _minimum(check: str, leader: NodeFacts) -> list[Finding]:
    """What is wrong with the replicas that a master needs before it takes a write."""
    # Without a minimum nothing is refused now, and a network partition loses what is written.
    if leader.good_replicas is None:
        return [
            warning(
                check,
                "min-replicas-to-write is not set: a master that is cut off keeps taking "
                "events, and loses them",
                "CONFIG SET min-replicas-to-write 1, on every server",
            )
        ]
    # With one, a master that has no good replica refuses every write already.
    if leader.good_replicas == 0:
        return [failed(check, "the master counts no good replica: it refuses writes", LOG)]
    return []


def _not_following(node: NodeFacts, named: set[str]) -> str:
    if node.error:
        return f"{node.address} {node.error}"
    if node.role == "master":
        return f"{node.address} says that it is a master"
    if not node.link_up:
        return f"{node.address} has no connection to its master {node.follows}"
    return "" if node.follows in named else f"{node.address} follows {node.follows}"


async def examine_sentinels(url: str) -> list[Finding]:
    """The checks of the Sentinels; they do not apply where the URL names none."""
    address = parse_address(url)
    if not address.service:
        why = "the URL names one server and no Sentinels"
        return [not_applicable(f"sentinels.{name}", why) for name in CHECKS["sentinels"]]
    said = await asyncio.gather(*(_sentinel(address, host) for host in address.hosts))
    # Each Sentinel is asked for what it knows: after a failover they may disagree for a while.
    known = {host for _, host in said if host is not None}
    rows = await asyncio.gather(*(_replicas(address, host) for host in address.hosts))
    known |= {host for row in rows for host in row}
    nodes = await asyncio.gather(*(_node(address, host) for host in sorted(known)))
    return check_sentinels([facts for facts, _ in said], nodes)


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


async def _sentinel(address: Address, host: HostPort) -> tuple[SentinelFacts, HostPort | None]:
    """What one Sentinel says, and the master that it names."""
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
    reported = pairs(row)
    master = (reported.get("ip", ""), int(reported.get("port", "0")))
    facts = SentinelFacts(
        address=named(host),
        master=named(master),
        flags=frozenset(reported.get("flags", "").split(",")),
        quorum=int(reported.get("quorum", "0")),
        others=int(reported.get("num-other-sentinels", "0")),
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
    replicas_known = [pairs(row) for row in rows]
    return {(row["ip"], int(row["port"])) for row in replicas_known}


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
    good = info.get("min_slaves_good_slaves")  # reported where a minimum is set
    return NodeFacts(
        address=named(host),
        role=info.get("role", ""),
        follows=f"{info.get('master_host', '')}:{info.get('master_port', '')}",
        link_up=info.get("master_link_status") == "up",
        run_id=info.get("run_id", named(host)),
        good_replicas=None if good is None else int(good),
    )
