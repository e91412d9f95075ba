"""Which pods a shrinking pool should lose first: those that hold least.

Kubernetes deletes the pods with the lowest `controller.kubernetes.io/pod-deletion-cost` first. What
a pod holds when it goes is finished in its grace period, or waits until its lease has run out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

HUNG_SECONDS = 60.0
"""A live consumer contacts the server at least every five seconds. One that did not for so long is
hung, and another consumer will claim what it holds."""

HUNG_COST = -1


@dataclass(frozen=True, slots=True)
class ConsumerLoad:
    """The load of one consumer of the group.

    Args:
        consumer: its name; it contains the name of its pod.
        pending: entries that it holds.
        idle_seconds: time since it last contacted the server.
    """

    consumer: str
    pending: int
    idle_seconds: float


def deletion_costs(pods: Iterable[str], loads: Iterable[ConsumerLoad]) -> dict[str, int]:
    """The cost of each pod.

    A pod that holds nothing costs 0, and a pod whose consumers all hang less than that. Else the
    cost grows by one each time what it holds doubles: the annotation changes seldom, as
    Kubernetes asks for, and the order is right where it matters.

    Args:
        pods: names of the pods of the target.
        loads: one for each consumer and stream; those of no pod here are left out.
    """
    found: dict[str, list[ConsumerLoad]] = {pod: [] for pod in pods}
    for load in loads:
        pod = _pod_of(load.consumer, found)
        if pod is not None:
            found[pod].append(load)
    return {pod: _cost(held) for pod, held in found.items()}


def _pod_of(consumer: str, pods: Iterable[str]) -> str | None:
    """The pod with the longest name that is a whole part of the consumer's."""
    inside = [pod for pod in pods if f"-{pod}-" in f"-{consumer}-"]
    return max(inside, key=len, default=None)


def _cost(held: list[ConsumerLoad]) -> int:
    if not held:
        return 0
    alive = [load for load in held if load.idle_seconds < HUNG_SECONDS]
    if not alive:
        return HUNG_COST
    return sum(load.pending for load in alive).bit_length()


def changed_costs(costs: Mapping[str, int], annotated: Mapping[str, int | None]) -> dict[str, int]:
    """The costs that differ from what the pods are annotated with; no annotation means 0."""
    return {pod: cost for pod, cost in costs.items() if (annotated.get(pod) or 0) != cost}
