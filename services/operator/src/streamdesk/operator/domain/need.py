"""How many replicas the work alone asks for."""

import math
from dataclasses import dataclass

from streamdesk.operator.domain.decision import ScalingReason
from streamdesk.operator.domain.history import LagHistory
from streamdesk.operator.domain.observation import Observation
from streamdesk.operator.domain.pool import PoolSpec
from streamdesk.operator.domain.rates import arrivals, is_stale, more_waits, service_rate

SURPLUS_DRAINS = 4.0
"""While entries keep arriving, the queue is emptied within so many drain times.

Fewer would leave it at the length that is just allowed for as long as the burst lasts, more would
start replicas whose work is done before they are ready; `make bench-operator` has the figures.
"""


@dataclass(frozen=True, slots=True)
class Need:
    """What the work asks for.

    Args:
        replicas: so many, before bounds, windows and policies; None for unknown.
        reason: why not exactly what the formula says, if so.
        only_up: the number must not take replicas away.
    """

    replicas: int | None
    reason: ScalingReason = ScalingReason.AS_NEEDED
    only_up: bool = False


def need(spec: PoolSpec, seen: Observation, history: LagHistory) -> Need:
    """What the work asks for, from a history that has learned from this look already."""
    if not seen.is_known:
        return _without_answer(spec, seen, history)
    if seen.unread_is_lower_bound:
        wanted = math.ceil(_load(spec, seen, history))
        return Need(max(seen.replicas, wanted, 1), ScalingReason.LOWER_BOUND, only_up=True)
    load = _load(spec, seen, history)
    if load > 0:
        return _tolerant(spec, seen, load, history)
    return _idle(spec, seen, history)


def _without_answer(spec: PoolSpec, seen: Observation, history: LagHistory) -> Need:
    loss = spec.on_metric_loss
    if loss.replicas is not None and in_fallback(spec, history):
        return Need(max(seen.replicas, loss.replicas), ScalingReason.FALLBACK, only_up=True)
    return Need(None, ScalingReason.LAG_UNKNOWN, only_up=True)


def in_fallback(spec: PoolSpec, history: LagHistory) -> bool:
    """Whether nothing was known for so long that the fallback counts."""
    loss = spec.on_metric_loss
    return loss.mode == "Fallback" and history.failures >= loss.after_failures


def _load(spec: PoolSpec, seen: Observation, history: LagHistory) -> float:
    """The need as a fraction of replicas; 0 when there is nothing to do at all.

    A backlog target counts unread and pending entries, but never fewer replicas than keep up with
    arrivals.

    A drain target asks for the larger of two numbers: the replicas that process the whole backlog
    within the target, and those that keep up with arrivals with a little to spare, so that the
    queue becomes empty. Pending entries count there only when they are older than the target:
    their consumer is dead, or as late as if they were unread.
    """
    unread, pending = seen.unread or 0, seen.pending or 0
    rate, arriving = service_rate(history), arrivals(history) or 0.0
    keeping_up = arriving / rate if rate else 0.0
    if spec.backlog_per_replica is not None:
        return max((unread + pending) / spec.backlog_per_replica, keeping_up)
    drain = spec.drain_seconds or 1.0
    late = pending if (seen.oldest_pending_seconds or 0) > drain else 0
    if rate:
        in_time = (unread + late) / (rate * drain)
        return max(in_time, keeping_up + in_time / SURPLUS_DRAINS)
    return _unmeasured(seen, history, unread)


def _unmeasured(seen: Observation, history: LagHistory, unread: int) -> float:
    """Single steps while the rate of a replica is unknown.

    More when all replicas work and yet more waits than before; fewer when nothing does.
    """
    working = seen.ready_replicas >= seen.replicas
    if unread and working and more_waits(history):
        return seen.replicas + 1
    if unread:
        return max(1, seen.replicas)
    return max(0, seen.replicas - 1)


def _tolerant(spec: PoolSpec, seen: Observation, load: float, history: LagHistory) -> Need:
    """The load in whole replicas, which may be a tolerance more than full, or less than full."""
    current = seen.replicas
    wanted = max(1, math.ceil(load / (1 + spec.tolerance.up) - 1e-9))
    measuring = spec.drain_seconds is not None and service_rate(history) is None
    if measuring:
        return Need(wanted, ScalingReason.MEASURING)
    if not seen.unread and is_stale(history, seen.at_seconds):
        return Need(max(1, min(wanted, current - 1)), ScalingReason.MEASURING)
    if wanted < current and load >= current * (1 - spec.tolerance.down):
        return Need(current, ScalingReason.WITHIN_TOLERANCE)
    return Need(wanted)


def _idle(spec: PoolSpec, seen: Observation, history: LagHistory) -> Need:
    """Nothing unread and nothing arriving: one replica for pending entries, or none at all."""
    if seen.pending or seen.delayed:
        age = seen.oldest_pending_seconds
        early = age is not None and age < spec.scale_to_zero.reclaim_idle_seconds
        if seen.replicas == 0 and early and not seen.delayed:
            return Need(0, ScalingReason.PENDING_KEEPS_ONE)
        return Need(1, ScalingReason.PENDING_KEEPS_ONE)
    since = history.last_active_seconds
    idle = math.inf if since is None else seen.at_seconds - since
    if seen.replicas and idle < spec.scale_to_zero.idle_seconds:
        return Need(1, ScalingReason.IDLE_WAIT)
    return Need(0)
