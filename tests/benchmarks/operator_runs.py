"""The run of one autoscaler on one trace."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean

from tests.benchmarks.operator_scalers import Scaler, hpa_with_lag, keda, ours, ours_by_backlog
from tests.benchmarks.operator_traces import SECONDS, SEEDS, Trace
from tests.benchmarks.operator_world import RATE, World

FLAP_WINDOW_SECONDS = 300
"""The HPA's default window downwards, for all alike."""

WRONG_TOLERANCE = 1.1
"""A scale-down is wrong when what waits is more than this times what the rest can do in time."""

Make = Callable[[int, float, int], Scaler]
SCALERS: dict[str, Make] = {
    "ours": ours,
    "ours by backlog": ours_by_backlog,
    "hpa": hpa_with_lag,
    "keda": keda,
}
PEERS = ("hpa", "keda")


@dataclass(frozen=True, slots=True)
class Result:
    """The result.

    Attributes:
        backlog_seconds: integral of all undone entries: the seconds that entries waited, summed.
        replica_seconds: integral of the replicas asked for.
        flaps: most changes of direction within any `FLAP_WINDOW_SECONDS`.
        wrong_scale_downs: scale-downs below what the load needed at that time.
        undone: entries left at the end.
        largest: most replicas.
    """

    backlog_seconds: float
    replica_seconds: float
    flaps: float
    wrong_scale_downs: float
    undone: float
    largest: float


def run(make: Make, trace: Trace, seed: int, target_seconds: float) -> Result:
    """Simulate an hour."""
    first = 0 if trace.faults.no_group and make is not hpa_with_lag else max(1, trace.min_replicas)
    world = World(seed, trace.arrivals(seed), trace.faults, replicas=first)
    scaler = make(seed, target_seconds, trace.min_replicas)
    backlog = replicas = wrong = largest = 0
    sizes = [world.replicas]
    for _ in range(SECONDS):
        world.step()
        before = world.replicas
        scaler.act(world)
        if world.replicas < before:
            wrong += is_wrong(world, target_seconds)
        backlog += world.undone
        replicas += world.replicas
        largest = max(largest, world.replicas)
        sizes.append(world.replicas)
    return Result(backlog, replicas, flaps(sizes), wrong, world.undone, largest)


def is_wrong(world: World, target_seconds: float) -> bool:
    """Whether the remaining replicas cannot drain the backlog in time, dead pods' entries included.

    The true backlog counts, not what the server reports. Zero replicas are wrong with any backlog.
    """
    waits = world.unread + world.orphans + world.buffered
    return waits > world.replicas * RATE * target_seconds * WRONG_TOLERANCE


def flaps(sizes: Sequence[int]) -> int:
    """Most changes of direction within a window, of replicas second by second."""
    turns: list[int] = []
    direction = 0
    for second in range(1, len(sizes)):
        change = sizes[second] - sizes[second - 1]
        if change * direction < 0:
            turns.append(second)
        if change:
            direction = 1 if change > 0 else -1
    return max(
        (sum(start <= turn < start + FLAP_WINDOW_SECONDS for turn in turns) for start in turns),
        default=0,
    )


def over_seeds(make: Make, trace: Trace, target_seconds: float) -> Result:
    """Means over all seeds; of flaps and wrong scale-downs, the worst."""
    results = [run(make, trace, seed, target_seconds) for seed in SEEDS]
    return Result(
        backlog_seconds=mean(result.backlog_seconds for result in results),
        replica_seconds=mean(result.replica_seconds for result in results),
        flaps=max(result.flaps for result in results),
        wrong_scale_downs=max(result.wrong_scale_downs for result in results),
        undone=mean(result.undone for result in results),
        largest=max(result.largest for result in results),
    )
