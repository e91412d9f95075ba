"""The peers' rows on the same server, each in an environment of its own (`make bench-bus`)."""

from dataclasses import dataclass

from tests.benchmarks.child import ROOT, Child
from tests.benchmarks.server import clear
from tests.servers import StreamServer

ENVIRONMENTS = ROOT / ".bench"


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer that we compare with.

    Args:
        name: its program in `peers/`, and prefix of its figures.
        environment: which of the environments has it.
        count: events of a round of about half a second.
    """

    name: str
    environment: str
    count: int


PEERS = (
    Peer("faststream", "peers", 20_000),
    Peer("taskiq", "peers", 1_500),
    Peer("arq", "arq", 1_000),
    Peer("dramatiq", "peers", 2_500),
    Peer("celery", "peers", 600),
)


def peer_rates(
    server: StreamServer, peer: Peer, size: int, rounds: int
) -> tuple[dict[str, float], str]:
    """Its figures, and its name with its version.

    Args:
        server: the server to use.
        peer: the peer to run.
        size: multiple of its count.
        rounds: of which the best counts.

    Raises:
        FileNotFoundError: its environment was not made.
        ChildError: its program failed.
    """
    python = ENVIRONMENTS / peer.environment / "bin/python"
    if not python.exists():
        raise FileNotFoundError(f"there is no {python}: `make bench-bus` makes it")
    clear(server)
    module = f"tests.benchmarks.peers.{peer.name}"
    with Child(python, module, server.url, peer.count * size, rounds) as child:
        result = child.hear()
    figures = {
        f"{peer.name}_{verb}_per_s": result[f"{verb}_per_s"] for verb in ("publish", "consume")
    }
    return figures, f"{result['package']} {result['version']}"
