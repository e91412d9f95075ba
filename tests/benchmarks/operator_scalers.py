"""The autoscalers that are compared, each as its own documentation describes and advises it.

All have the same target: the backlog is drained within `target_seconds`. For ours that is
`drainSeconds` (and in another row the peers' own target, as `backlogPerReplica`), everything else
is default. For the peers it is an AverageValue of
`RATE * target_seconds` entries a replica: the true rate, which a user would have to know, is
given to them, while ours has to measure it. (KEDA's own default is 5 entries a replica; the
benchmark also runs them with a smaller target, see its table of targets.)

HPA (kubernetes.io, "Horizontal Pod Autoscaling"): every 15 s; AverageValue of an external metric,
so ceil(metric / target), nothing within 10 %; the largest of the last 300 s downwards; upwards
the larger of 100 % and 4 pods within 15 s. The metric is scraped every 15 s from redis_exporter,
which reports a nil lag as 0 (the value it leaves when the server sends null), and no series
without a group or a server: then the HPA stays. At least one replica.

KEDA (keda.sh 2.21, redis-streams with lagCount): the same HPA, but the metric is read at each
sync, with no delay; every 30 s the operator looks whether the trigger is active (lag > 0, the
default activation): if it is, the first replica is made; if it has not been for 300 s, the last
is removed. A nil lag is -1 and so inactive. An error, no group among them, leaves all as it is.

Ours: polls every 10 s, reads the server as the operator's adapter does: a group that has caught up
has nothing unread, a lag is at most the length, a nil lag is counted up to `COUNTED` entries,
without a group the length counts, no answer is unknown.

Each has a phase of its own within its period, drawn from the seed.
"""

import math
import random
from dataclasses import dataclass, field
from typing import Protocol

from streamdesk.operator.domain.history import LagHistory
from streamdesk.operator.domain.observation import LagSource, Observation
from streamdesk.operator.domain.pool import PoolSpec, RedisSource, TargetRef
from streamdesk.operator.domain.scaling import decide
from tests.benchmarks.operator_world import RATE, Answer, World

MAX_REPLICAS = 30
COUNTED = 1000
SYNC_SECONDS = 15
SCRAPE_SECONDS = 15
KEDA_POLL_SECONDS = 30
KEDA_COOLDOWN_SECONDS = 300
HPA_WINDOW_SECONDS = 300
HPA_TOLERANCE = 0.1


class Scaler(Protocol):
    """An autoscaler of a simulated world."""

    def act(self, world: World) -> None:
        """Act if something is due in this second."""
        ...


def _phase(seed: int, what: str, period: int) -> int:
    return random.Random(f"{what} {seed}").randrange(period)


@dataclass(slots=True)
class Hpa:
    """The rule of a HorizontalPodAutoscaler with an external AverageValue metric."""

    target: float
    least: int
    recommended: list[tuple[int, int]] = field(default_factory=list)
    added: list[tuple[int, int]] = field(default_factory=list)

    def sync(self, world: World, metric: float | None) -> None:
        """One sync; without a metric, nothing."""
        now, current = world.now, world.replicas
        if metric is None or current == 0:
            return
        ratio = metric / (self.target * current)
        wanted = current if abs(ratio - 1) <= HPA_TOLERANCE else math.ceil(metric / self.target)
        wanted = max(self.least, min(MAX_REPLICAS, wanted))
        if not self.recommended:  # the controller starts with what there is
            self.recommended.append((now, current))
        self.recommended = [r for r in self.recommended if r[0] > now - HPA_WINDOW_SECONDS]
        self.recommended.append((now, wanted))
        if wanted < current:
            wanted = min(current, max(count for _, count in self.recommended))
        if wanted > current:
            self.added = [row for row in self.added if row[0] > now - SYNC_SECONDS]
            start = current - sum(count for _, count in self.added)
            wanted = max(current, min(wanted, max(2 * start, start + 4)))
            self.added.append((now, wanted - current))
        if wanted != current:
            world.scale(wanted)


@dataclass(slots=True)
class HpaWithLag:
    """An HPA on a lag that Prometheus scrapes."""

    hpa: Hpa
    seed: int
    scraped: float | None = 0.0

    def act(self, world: World) -> None:
        """Scrape and sync, when due."""
        if world.now % SCRAPE_SECONDS == _phase(self.seed, "scrape", SCRAPE_SECONDS):
            answer = world.answer()
            known = answer is not None and answer.group
            self.scraped = float(answer.lag or 0) if answer and known else None
        if world.now % SYNC_SECONDS == _phase(self.seed, "hpa", SYNC_SECONDS):
            self.hpa.sync(world, self.scraped)


@dataclass(slots=True)
class Keda:
    """KEDA's operator with the HPA that it created."""

    hpa: Hpa
    seed: int
    min_replicas: int
    active_at: int = 0

    def act(self, world: World) -> None:
        """Poll and sync, when due."""
        lag = self._lag(world.answer())
        if world.now % SYNC_SECONDS == _phase(self.seed, "hpa", SYNC_SECONDS):
            self.hpa.sync(world, lag)
        if world.now % KEDA_POLL_SECONDS == _phase(self.seed, "keda", KEDA_POLL_SECONDS):
            self._poll(world, lag)

    @staticmethod
    def _lag(answer: Answer | None) -> float | None:
        if answer is None or not answer.group:
            return None
        return -1.0 if answer.lag is None else float(answer.lag)

    def _poll(self, world: World, lag: float | None) -> None:
        if lag is None:
            return
        if lag > 0:
            self.active_at = world.now
            if world.replicas == 0:
                world.scale(1)
        elif self.min_replicas == 0 and world.now - self.active_at >= KEDA_COOLDOWN_SECONDS:
            world.scale(0)


@dataclass(slots=True)
class Ours:
    """The operator's decision, based on what its adapter would report."""

    spec: PoolSpec
    seed: int
    history: LagHistory = field(default_factory=LagHistory)

    def act(self, world: World) -> None:
        """Read and decide, when due."""
        period = round(self.spec.poll_seconds)
        if world.now % period == _phase(self.seed, "ours", period):
            decision, self.history = decide(self.spec, observe(world), self.history)
            if decision.scale_to is not None:
                world.scale(decision.scale_to)


def observe(world: World) -> Observation:
    """The operator's adapter's reading of the server's answer."""
    answer = world.answer()
    unread: int | None = None
    source, least = LagSource.UNKNOWN, False
    if answer is not None and answer.caught_up:
        unread, source = 0, LagSource.LAG
    elif answer is not None and not answer.group:
        unread, source = answer.length, LagSource.LENGTH
    elif answer is not None and answer.lag is None:
        unread, source = min(COUNTED, world.unread), LagSource.COUNTED
        least = unread == COUNTED
    elif answer is not None and answer.lag is not None:
        unread, source = min(answer.lag, answer.length), LagSource.LAG
    return Observation(
        at_seconds=float(world.now),
        replicas=world.replicas,
        ready_replicas=world.ready,
        unread=unread,
        pending=answer.pending if answer else None,
        unread_is_lower_bound=least,
        oldest_pending_seconds=answer.oldest_pending_seconds if answer else None,
        delivered_total=answer.delivered if answer else None,
        error=None if answer else "connection refused",
        source=source,
    )


def hpa_with_lag(seed: int, target_seconds: float, min_replicas: int) -> Scaler:
    """An HPA; it cannot go to zero."""
    return HpaWithLag(Hpa(RATE * target_seconds, max(1, min_replicas)), seed)


def keda(seed: int, target_seconds: float, min_replicas: int) -> Scaler:
    """KEDA's ScaledObject."""
    return Keda(Hpa(RATE * target_seconds, max(1, min_replicas)), seed, min_replicas)


def spec_of(min_replicas: int, **target: float) -> PoolSpec:
    """A pool with only a target and bounds."""
    return PoolSpec.model_validate(_fields(min_replicas) | target)


def _fields(min_replicas: int) -> dict[str, object]:
    return {
        "target_ref": TargetRef(name="desk-order-executor"),
        "redis": RedisSource(streams=("trading:signals",), group="order-executors"),
        "min_replicas": min_replicas,
        "max_replicas": MAX_REPLICAS,
    }


def ours(seed: int, target_seconds: float, min_replicas: int) -> Scaler:
    """Our ExecutorPool."""
    return Ours(spec_of(min_replicas, drain_seconds=target_seconds), seed)


def ours_by_backlog(seed: int, target_seconds: float, min_replicas: int) -> Scaler:
    """Our ExecutorPool with the peers' target, `backlogPerReplica`."""
    return Ours(spec_of(min_replicas, backlog_per_replica=RATE * target_seconds), seed)
