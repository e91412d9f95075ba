"""A simulated stream, its consumers' pods and the server's figures, second by second.

Assumptions, the same for every autoscaler:

- A replica handles `RATE` entries a second, times its own factor (standard deviation 10 %) that
  changes every ten seconds; it holds up to `HAND` entries.
- A new pod is ready after 15 s +- 4 s (scheduling, image in the node's cache, start), within
  [8, 30]. A removed pod finishes its pending entries and takes no more.
- Of a smaller pool the pods that are not ready go first, then the newest, as a ReplicaSet does.
- Arrivals are a Poisson process whose mean is the trace's. Every autoscaler gets the same
  arrivals, and the n-th pod the same start-up time and the same factors.
- The pending entries of a dead consumer are taken over by any ready pod after the lease.
"""

import random
from bisect import bisect_right
from dataclasses import dataclass, field

RATE = 10.0
HAND = 8
RATE_DEVIATION = 0.1
RATE_SECONDS = 10
START_SECONDS = (15.0, 4.0, 8.0, 30.0)
"""Mean, deviation, least, most."""


@dataclass(slots=True)
class Pod:
    """One replica."""

    number: int
    ready_at: float
    noise: random.Random
    hand: int = 0
    factor: float = 1.0
    credit: float = 0.0

    def capacity(self, now: int) -> int:
        """Entries it can do in this second."""
        if now % RATE_SECONDS == 0:
            self.factor = max(0.3, self.noise.gauss(1, RATE_DEVIATION))
        self.credit += RATE * self.factor
        whole = int(self.credit)
        self.credit -= whole
        return whole


@dataclass(frozen=True, slots=True)
class Faults:
    """Faults, as ranges of seconds.

    Args:
        nil_lag: the server does not know the lag.
        gone: the server is down.
        trimmed_from: from then on the lag is too high by `overshoot`.
        overshoot: entries that the lag says too much.
        no_group: there is no group until a pod is ready.
        dies_at: one pod dies then, with its pending entries.
        lease_seconds: how long the pending entries of a dead pod cannot be taken over.
    """

    nil_lag: tuple[int, int] = (0, 0)
    gone: tuple[int, int] = (0, 0)
    trimmed_from: int | None = None
    overshoot: int = 0
    no_group: bool = False
    dies_at: int | None = None
    lease_seconds: int = 30


@dataclass(frozen=True, slots=True)
class Answer:
    """What XINFO and XLEN say in one second.

    Args:
        lag: of the group; None for nil.
        length: entries on the stream; acknowledged ones are trimmed.
        caught_up: the group's last entry is the stream's.
        delivered: entries read by the group; None when there is no group.
        pending: pending entries, those of dead pods included.
        oldest_pending_seconds: age of the oldest of them.
        group: whether there is a group.
    """

    lag: int | None
    length: int
    caught_up: bool
    delivered: int | None
    pending: int
    oldest_pending_seconds: float | None
    group: bool = True


@dataclass(slots=True)
class World:
    """The simulated world at one second."""

    seed: int
    arrivals: list[int]
    faults: Faults
    replicas: int
    now: int = 0
    unread: int = 0
    delivered: int = 0
    done: int = 0
    started: int = 0
    group: bool = True
    pods: list[Pod] = field(default_factory=list)
    leaving: list[Pod] = field(default_factory=list)
    orphans: int = 0
    orphaned_at: int = 0
    buffered: int = 0
    arrived: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.group = not self.faults.no_group
        for _ in range(self.replicas):
            self._start().ready_at = 0

    def _start(self) -> Pod:
        noise = random.Random(f"pod {self.seed} {self.started}")
        mean, deviation, least, most = START_SECONDS
        seconds = min(most, max(least, noise.gauss(mean, deviation)))
        pod = Pod(self.started, self.now + seconds, noise)
        self.started += 1
        self.pods.append(pod)
        return pod

    def scale(self, replicas: int) -> None:
        """Set the number of replicas."""
        self.replicas = replicas
        while len(self.pods) < replicas:
            self._start()
        self.pods.sort(key=lambda pod: (pod.ready_at > self.now, pod.number))
        while len(self.pods) > replicas:
            self.leaving.append(self.pods.pop())

    @property
    def is_gone(self) -> bool:
        """Whether the server is down now."""
        return self.faults.gone[0] <= self.now < self.faults.gone[1]

    @property
    def ready(self) -> int:
        """Replicas that are ready."""
        return sum(pod.ready_at <= self.now for pod in self.pods)

    @property
    def pending(self) -> int:
        """Pending entries, those of dead pods included."""
        return self.orphans + sum(pod.hand for pod in (*self.pods, *self.leaving))

    @property
    def undone(self) -> int:
        """Entries that arrived and are not finished."""
        return self.unread + self.pending + self.buffered

    def step(self) -> None:
        """One second."""
        self.now += 1
        self.buffered += self.arrivals[self.now]
        self.arrived.append((self.arrived[-1] if self.arrived else 0) + self.arrivals[self.now])
        if self.is_gone:
            return  # producers keep what they have, consumers wait
        self.unread += self.buffered
        self.buffered = 0
        self._die()
        ready = [pod for pod in self.pods if pod.ready_at <= self.now]
        self.group = self.group or bool(ready)
        turn = self.now % len(ready) if ready else 0
        for pod in (*ready[turn:], *ready[:turn]):
            self._work(pod)
        for pod in self.leaving:
            finished = min(pod.hand, pod.capacity(self.now))
            pod.hand -= finished
            self.done += finished
        self.leaving = [pod for pod in self.leaving if pod.hand]

    def _die(self) -> None:
        if self.now == self.faults.dies_at and self.pods:
            dead = self.pods.pop(0)
            self.orphans, self.orphaned_at = self.orphans + dead.hand, self.now
            self._start()  # the ReplicaSet makes another

    def _work(self, pod: Pod) -> None:
        if self.orphans and self.now - self.orphaned_at >= self.faults.lease_seconds:
            pod.hand, self.orphans = pod.hand + self.orphans, 0
        finished = min(pod.capacity(self.now), pod.hand + self.unread)
        held = max(pod.hand - finished, min(HAND, pod.hand + self.unread - finished))
        taken = finished + held - pod.hand
        self.unread -= taken
        self.delivered += taken
        self.done += finished
        pod.hand = held

    def answer(self) -> Answer | None:
        """The server's answer now; None while it is down."""
        if self.is_gone:
            return None
        pending = self.pending
        lag: int | None = self.unread
        if self.faults.trimmed_from is not None and self.now >= self.faults.trimmed_from:
            lag = self.unread + self.faults.overshoot
        if self.faults.nil_lag[0] <= self.now < self.faults.nil_lag[1]:
            lag = None
        oldest = bisect_right(self.arrived, self.delivered - pending) + 1 if pending else None
        return Answer(
            lag=lag if self.group else None,
            length=self.unread + pending,
            caught_up=not self.unread,
            delivered=self.delivered if self.group else None,
            pending=pending,
            oldest_pending_seconds=None if oldest is None else float(self.now - oldest),
            group=self.group,
        )
