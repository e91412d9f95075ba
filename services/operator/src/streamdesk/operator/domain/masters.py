"""Whether Redis has one master, and whether the Sentinels name it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

HostPort = tuple[str, int]


@dataclass(frozen=True, slots=True)
class SentinelReport:
    """What one Sentinel reports.

    Args:
        sentinel: its address.
        master: the address that it names.
        servers: all servers that it knows, the master included.
    """

    sentinel: HostPort
    master: HostPort
    servers: frozenset[HostPort]


@dataclass(frozen=True, slots=True)
class ServerReport:
    """What one server reports about itself.

    Args:
        address: the address that was asked.
        is_master: whether its role is master.
        run_id: identifies the server under each of its addresses.
    """

    address: HostPort
    is_master: bool
    run_id: str


@dataclass(frozen=True, slots=True)
class MasterVerdict:
    """The result of comparing the reports.

    Args:
        masters: number of servers whose role is master.
        agrees: there is one, and all Sentinels that answered name it.
        message: the same as a sentence.
    """

    masters: int
    agrees: bool
    message: str


def verdict_of(
    sentinels: Sequence[SentinelReport], servers: Sequence[ServerReport]
) -> MasterVerdict:
    """Compare the reports. A server may have been asked under several addresses.

    Args:
        sentinels: those that answered.
        servers: those that answered.
    """
    run_ids = {server.address: server.run_id for server in servers}
    masters = {server.run_id: server.address for server in servers if server.is_master}
    named = {report.master for report in sentinels}
    message = (
        f"{_names(masters.values())} reports to be the master; "
        f"{len(sentinels)} Sentinels that answered name {_names(named)}; "
        f"{len(set(run_ids.values()))} servers answered"
    )
    return MasterVerdict(len(masters), _agree(masters, named, run_ids), message)


def _agree(
    masters: Mapping[str, HostPort], named: set[HostPort], run_ids: Mapping[HostPort, str]
) -> bool:
    # Two masters lose writes when one is demoted; without a master there are no writes.
    if len(masters) != 1:
        return False
    # An address that did not answer may be the master that the Sentinels have not given up yet.
    if not all(address in run_ids for address in named):
        return False
    # Identities, not addresses: one server can have a name for clients and another for replicas.
    return {run_ids[address] for address in named} == set(masters)


def _names(hosts: Iterable[HostPort]) -> str:
    return ", ".join(name_of(host) for host in sorted(hosts)) or "none"


def name_of(host: HostPort) -> str:
    """An address as people write it."""
    return f"{host[0]}:{host[1]}"
