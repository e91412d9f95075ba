"""Metrics of the pools. They disappear with the pool, or when another operator becomes active."""

import math

from streamdesk.operator.adapters.kubernetes.pools import PoolKey
from streamdesk.operator.domain.observation import Observation
from streamdesk.runtime import metrics


def show_pool(key: PoolKey, seen: Observation, desired: int, reason: str, *, ready: bool) -> None:
    """Show what was seen of a pool, and count the decision.

    Args:
        key: of the pool.
        seen: the observation.
        desired: replicas that the pool should have.
        reason: of the decision.
        ready: whether the condition Ready is true.
    """
    for gauge, value in (
        (metrics.EXECUTORPOOL_REPLICAS, seen.replicas),
        (metrics.EXECUTORPOOL_READY_REPLICAS, seen.ready_replicas),
        (metrics.EXECUTORPOOL_DESIRED_REPLICAS, desired),
        (metrics.EXECUTORPOOL_UNREAD, math.nan if seen.unread is None else seen.unread),
        (metrics.EXECUTORPOOL_PENDING, math.nan if seen.pending is None else seen.pending),
        (metrics.EXECUTORPOOL_OLDEST_PENDING, seen.oldest_pending_seconds or 0),
        (metrics.EXECUTORPOOL_READY, ready),
    ):
        gauge.labels(*key).set(value)
    metrics.EXECUTORPOOL_DECISIONS.labels(*key, reason).inc()


def show_not_ready(key: PoolKey, reason: str) -> None:
    """Show that a pool cannot be reconciled, and count that.

    Args:
        key: of the pool.
        reason: why.
    """
    metrics.EXECUTORPOOL_READY.labels(*key).set(0)
    metrics.EXECUTORPOOL_DECISIONS.labels(*key, reason).inc()


def forget_pool(key: PoolKey) -> None:
    """Remove the gauges of a pool that this operator does not reconcile any more."""
    for gauge in (
        metrics.EXECUTORPOOL_REPLICAS,
        metrics.EXECUTORPOOL_READY_REPLICAS,
        metrics.EXECUTORPOOL_DESIRED_REPLICAS,
        metrics.EXECUTORPOOL_UNREAD,
        metrics.EXECUTORPOOL_PENDING,
        metrics.EXECUTORPOOL_OLDEST_PENDING,
        metrics.EXECUTORPOOL_READY,
    ):
        gauge.remove(*key)
