"""From what is wanted to what may be done now: windows, turns and policies.

Windows and policies work as those of a HorizontalPodAutoscaler do: the largest number wanted
within the window is what the pool goes down to, the smallest what it goes up to, and a policy
allows so many pods, or percent, more or fewer than there were at the start of its period.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from streamdesk.operator.domain.decision import ScalingReason
from streamdesk.operator.domain.history import LagHistory, Recommendation
from streamdesk.operator.domain.pool import (
    PolicyType,
    PoolSpec,
    ScalingPolicy,
    ScalingRules,
    SelectPolicy,
)


@dataclass(frozen=True, slots=True)
class ScalingStep:
    """What may be done now, and what stood in the way of more.

    Args:
        replicas: number to go to.
        held_by: what stood in the way; None for nothing.
    """

    replicas: int
    held_by: ScalingReason | None = None


def remember(
    spec: PoolSpec, history: LagHistory, wanted: int, current: int, at: float
) -> LagHistory:
    """The history with what this look wants.

    A window without looks does not count as one in which fewer were wanted: after a first
    look, or a long break, what there is counts as wanted now.
    """
    rules = spec.behavior
    window = max(
        rules.scale_down.stabilization_window_seconds, rules.scale_up.stabilization_window_seconds
    )
    last = history.last_look_seconds
    kept = [row for row in history.recommendations if at - window <= row.at_seconds <= at]
    if last is None or not 0 <= at - last <= max(window, 3 * spec.poll_seconds):
        kept = [Recommendation(at_seconds=at, replicas=current)]
    kept.append(Recommendation(at_seconds=at, replicas=wanted))
    return history.model_copy(update={"recommendations": _extremes(kept)})


def _extremes(rows: Sequence[Recommendation]) -> tuple[Recommendation, ...]:
    """Only those that can still be the largest or the smallest of a window that ends later."""
    highest, lowest = -math.inf, math.inf
    kept: list[Recommendation] = []
    for row in reversed(rows):
        if row.replicas > highest or row.replicas < lowest:
            kept.append(row)
            highest, lowest = max(highest, row.replicas), min(lowest, row.replicas)
    return tuple(reversed(kept))


def limited(
    spec: PoolSpec, history: LagHistory, wanted: int, current: int, at: float
) -> ScalingStep:
    """What may be done now about what is wanted; `history` remembers it already."""
    if wanted == current:
        return ScalingStep(current)
    return (_up if wanted > current else _down)(spec, history, current, at)


def _within(history: LagHistory, seconds: float, at: float) -> list[int]:
    """What was wanted within a window; a window of 0 s is this look alone."""
    *earlier, newest = history.recommendations
    inside = [row for row in earlier if seconds and row.at_seconds >= at - seconds]
    return [row.replicas for row in (*inside, newest)]


def _up(spec: PoolSpec, history: LagHistory, current: int, at: float) -> ScalingStep:
    rules = spec.behavior.scale_up
    stable = min(_within(history, rules.stabilization_window_seconds, at))
    if stable <= current:
        return ScalingStep(current, ScalingReason.STABILIZING)
    limit = _limit(rules, history, current, at, up=True)
    return (
        ScalingStep(stable) if stable <= limit else ScalingStep(limit, ScalingReason.POLICY_LIMITED)
    )


def _down(spec: PoolSpec, history: LagHistory, current: int, at: float) -> ScalingStep:
    rules = spec.behavior.scale_down
    stable = max(_within(history, rules.stabilization_window_seconds, at))
    if stable >= current:
        return ScalingStep(current, ScalingReason.STABILIZING)
    if spec.pause_scale_in:
        return ScalingStep(current, ScalingReason.SCALE_IN_PAUSED)
    turned = history.turned_up_seconds
    if turned is not None and 0 <= at - turned < spec.behavior.reversal_seconds:
        return ScalingStep(current, ScalingReason.JUST_TURNED)
    limit = _limit(rules, history, current, at, up=False)
    return (
        ScalingStep(stable) if stable >= limit else ScalingStep(limit, ScalingReason.POLICY_LIMITED)
    )


def _limit(rules: ScalingRules, history: LagHistory, current: int, at: float, *, up: bool) -> int:
    """The number that the policies allow to go to."""
    if rules.select_policy is SelectPolicy.DISABLED:
        return current
    if not rules.policies:
        return 1_000_000 if up else 0
    reached = [_reach(policy, history, current, at, up=up) for policy in rules.policies]
    farthest = (rules.select_policy is SelectPolicy.MAX) == up
    limit = max(reached) if farthest else min(reached)
    return max(limit, current) if up else max(0, min(limit, current))


def _reach(policy: ScalingPolicy, history: LagHistory, current: int, at: float, *, up: bool) -> int:
    """The number that one policy allows to go to."""
    sign = 1 if up else -1
    changed = sum(
        event.change
        for event in history.scale_events
        if at - policy.period_seconds < event.at_seconds <= at and event.change * sign > 0
    )
    start = current - changed
    if policy.type is PolicyType.PODS:
        return start + sign * policy.value
    share = start * (1 + sign * policy.value / 100)
    # From nothing, a share of it would stay nothing.
    return max(1, math.ceil(share - 1e-9)) if up else math.floor(share + 1e-9)


def longest_period(spec: PoolSpec) -> float:
    """For how long changes have to be remembered."""
    rules = (*spec.behavior.scale_up.policies, *spec.behavior.scale_down.policies)
    return max((policy.period_seconds for policy in rules), default=0.0)
