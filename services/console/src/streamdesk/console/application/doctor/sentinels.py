"""Whether the Sentinels could do their work: watch one master, and make another."""

from collections.abc import Sequence
from dataclasses import dataclass

from streamdesk.console.domain.finding import Finding, failed, merged, warning

DOWN = {"s_down", "o_down", "disconnected"}
LOG = "look at its log and at the network between the pods"


@dataclass(frozen=True, slots=True)
class SentinelFacts:
    """What one Sentinel says.

    Args:
        address: where it is.
        error: why it said nothing; empty when it did.
        master: whom it names.
        flags: what it thinks of the master.
        quorum: how many of them must agree that a master is gone.
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
    """All that Sentinels and servers together decide.

    Args:
        sentinels: each one that the URL names.
        nodes: each server that one of them knows.
    """
    return [quorum(sentinels), master(sentinels, nodes), replicas(sentinels, nodes)]


def quorum(sentinels: Sequence[SentinelFacts]) -> Finding:
    """Enough of them must see each other, or nobody is promoted."""
    check = "sentinels.quorum"
    answered = [one for one in sentinels if not one.error]
    problems = [
        warning(check, f"Sentinel {one.address}: {one.error}", LOG)
        for one in sentinels
        if one.error
    ]
    problems += [
        failed(
            check,
            f"Sentinel {one.address}: {one.ckquorum}",
            "bring the missing Sentinels back: without a quorum nobody replaces a dead master",
        )
        for one in answered
        if one.ckquorum and not one.ckquorum.startswith("OK")
    ]
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
                "wait for a failover to end; if it stays so, SENTINEL RESET on those behind",
            )
        )
    problems += [
        failed(check, f"{address} is named and {wrong}", LOG)
        for address in named
        if (wrong := _no_master(address, nodes))
    ]
    masters = {one.run_id: one.address for one in nodes if one.role == "master"}
    if len(masters) > 1:
        problems.append(
            failed(
                check,
                f"{len(masters)} servers say that they are the master: "
                f"{', '.join(masters.values())}",
                "end the one that the Sentinels do not name: what it takes is lost",
            )
        )
    down = sorted({flag for one in sentinels for flag in one.flags & DOWN})
    if down:
        problems.append(failed(check, f"a Sentinel calls the master {', '.join(down)}", LOG))
    return merged(check, problems, f"{', '.join(named)}, and it says so")


def _no_master(address: str, nodes: Sequence[NodeFacts]) -> str:
    node = next((one for one in nodes if one.address == address), None)
    if node is None or node.error:
        return f"does not answer ({node.error if node else 'not asked'})"
    return "" if node.role == "master" else f"says that it is a {node.role or 'nothing'}"


def replicas(sentinels: Sequence[SentinelFacts], nodes: Sequence[NodeFacts]) -> Finding:
    """Somebody must be there to be promoted, and have all that the master has."""
    check = "sentinels.replicas"
    named = {one.master for one in sentinels}
    others = [one for one in nodes if one.address not in named]
    problems = [
        warning(check, wrong, LOG) for one in others if (wrong := _not_following(one, named))
    ]
    good = len(others) - len(problems)
    if not good:
        why = "no replica follows the master: if it dies there is nobody to promote"
        problems.append(failed(check, why, "start a replica, and look at its log"))
    leader = next((one for one in nodes if one.role == "master" and one.address in named), None)
    if leader is not None and leader.good_replicas is None:
        problems.append(
            warning(
                check,
                "min-replicas-to-write is not set: a master that is cut off goes on taking "
                "events, and loses them",
                "CONFIG SET min-replicas-to-write 1, on every server",
            )
        )
    elif leader is not None and leader.good_replicas == 0:
        problems.append(failed(check, "the master counts no good replica: it refuses writes", LOG))
    return merged(check, problems, f"{good} of {len(others)} replicas follow the master")


def _not_following(node: NodeFacts, named: set[str]) -> str:
    if node.error:
        return f"{node.address} {node.error}"
    if node.role == "master":
        return f"{node.address} says that it is a master"
    if not node.link_up:
        return f"{node.address} has no connection to its master {node.follows}"
    return "" if node.follows in named else f"{node.address} follows {node.follows}"
