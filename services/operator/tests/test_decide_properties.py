"""Rules that hold whatever is seen, in whatever order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdesk.operator.domain.decision import ScalingDecision, ScalingReason
from streamdesk.operator.domain.history import LagHistory
from streamdesk.operator.domain.observation import Observation
from streamdesk.operator.domain.pool import Behavior, DownRules, PoolSpec
from streamdesk.operator.domain.scaling import decide

BASE = {
    "targetRef": {"name": "desk-order-executor"},
    "redis": {"streams": ["trading:signals"], "group": "order-executors"},
}


@st.composite
def pools(draw: st.DrawFn, /, **fixed: Any) -> PoolSpec:
    least = draw(st.integers(0, 5))
    target = draw(st.sampled_from([{"drainSeconds": 30}, {"backlogPerReplica": 50}]))
    policy = {
        "type": draw(st.sampled_from(["Pods", "Percent"])),
        "value": draw(st.integers(1, 100)),
        "periodSeconds": draw(st.sampled_from([15, 60])),
    }
    rules = {
        "stabilizationWindowSeconds": draw(st.sampled_from([0, 60, 300])),
        "policies": draw(st.sampled_from([[], [policy]])),
    }
    fields: dict[str, Any] = {
        "minReplicas": least,
        "maxReplicas": draw(st.integers(max(1, least), 30)),
        "behavior": {"scaleUp": rules, "scaleDown": rules},
        "scaleToZero": {"idleSeconds": draw(st.sampled_from([0, 60]))},
        "onExternalScale": {
            "mode": draw(st.sampled_from(["Hold", "Adopt", "Revert"])),
            "holdSeconds": draw(st.sampled_from([0, 60])),
        },
        "onMetricLoss": draw(
            st.sampled_from([{}, {"mode": "Fallback", "replicas": 4, "afterFailures": 2}])
        ),
        "pauseScaleIn": draw(st.booleans()),
    }
    return PoolSpec.model_validate(BASE | target | fields | fixed)


@dataclass(frozen=True)
class Look:
    """One look: what it sees, and what an external actor does before it."""

    seconds: float
    unread: int | None
    pending: int | None
    delivered: int | None
    delayed: int
    lower_bound: bool
    ready: float
    scaled_to: int | None


def looks(*, external_actors: bool = False) -> st.SearchStrategy[list[Look]]:
    counts = st.one_of(st.just(0), st.integers(0, 5000))
    return st.lists(
        st.builds(
            Look,
            seconds=st.sampled_from([1.0, 10.0, 10.0, 10.0, 45.0, 400.0]),
            unread=st.one_of(st.none(), counts, counts, counts),
            pending=st.one_of(st.none(), counts, counts, counts),
            delivered=st.one_of(st.none(), st.integers(0, 100_000)),
            delayed=st.sampled_from([0, 0, 0, 3]),
            lower_bound=st.sampled_from([False, False, True]),
            ready=st.floats(0, 1),
            scaled_to=st.one_of(st.none(), st.none(), st.integers(0, 40))
            if external_actors
            else st.none(),
        ),
        min_size=1,
        max_size=40,
    )


Seen = tuple[Observation, ScalingDecision]


def run(spec: PoolSpec, rows: Sequence[Look], *, start: int, restart: bool = False) -> list[Seen]:
    """Look after look; with `restart` the history goes through the status in between."""
    replicas, at, history = start, 1_000_000.0, LagHistory()
    seen: list[Seen] = []
    for row in rows:
        at += row.seconds
        replicas = replicas if row.scaled_to is None else row.scaled_to
        observation = Observation(
            at_seconds=at,
            replicas=replicas,
            ready_replicas=round(row.ready * replicas),
            unread=row.unread,
            pending=row.pending,
            delayed=row.delayed,
            delivered_total=row.delivered,
            unread_is_lower_bound=row.lower_bound,
            oldest_pending_seconds=45.0 if row.pending else None,
        )
        if restart:
            history = LagHistory.from_status(history.as_status())
        decision, history = decide(spec, observation, history)
        replicas = decision.scale_to if decision.scale_to is not None else replicas
        seen.append((observation, decision))
    return seen


@settings(deadline=None)
@given(pools(), looks(), st.integers(0, 40))
def test_a_pool_left_alone_is_always_within_its_bounds(
    spec: PoolSpec, rows: list[Look], start: int
) -> None:
    for _, decision in run(spec, rows, start=start):
        assert spec.min_replicas <= decision.desired <= spec.max_replicas


@settings(deadline=None)
@given(pools(), looks(), st.integers(0, 30))
def test_nothing_goes_down_on_an_unknown_number_or_a_lower_bound(
    spec: PoolSpec, rows: list[Look], start: int
) -> None:
    for seen, decision in run(spec, rows, start=start):
        if not seen.is_known or seen.unread_is_lower_bound:
            assert decision.desired >= spec.bounded(seen.replicas)


@settings(deadline=None)
@given(pools(minReplicas=0), looks(), st.integers(0, 30))
def test_nothing_goes_to_zero_while_anything_is_unread_pending_or_delayed(
    spec: PoolSpec, rows: list[Look], start: int
) -> None:
    for seen, decision in run(spec, rows, start=start):
        if decision.scale_to == 0:
            assert (seen.unread, seen.pending, seen.delayed) == (0, 0, 0)


@settings(deadline=None)
@given(pools(), looks(external_actors=True), st.integers(0, 30))
def test_a_restart_with_the_status_decides_the_same(
    spec: PoolSpec, rows: list[Look], start: int
) -> None:
    assert run(spec, rows, start=start) == run(spec, rows, start=start, restart=True)


@settings(deadline=None)
@given(pools(), looks(external_actors=True), st.integers(0, 40))
def test_a_pin_wins_over_everything(spec: PoolSpec, rows: list[Look], pin: int) -> None:
    pinned = spec.model_copy(update={"manual_replicas": pin})
    for seen, decision in run(pinned, rows, start=3):
        assert decision.desired == pin
        assert decision.scale_to == (None if seen.replicas == pin else pin)
        assert decision.reason is ScalingReason.PINNED


@settings(deadline=None)
@given(pools(), looks(external_actors=True), st.sampled_from(["dry_run", "paused"]))
def test_a_dry_run_and_a_pause_change_nothing(spec: PoolSpec, rows: list[Look], field: str) -> None:
    for _, decision in run(spec.model_copy(update={field: True}), rows, start=3):
        assert decision.scale_to is None


@settings(deadline=None)
@given(pools(pauseScaleIn=True), looks(), st.integers(0, 30))
def test_a_paused_scale_in_never_goes_below_what_the_bounds_leave(
    spec: PoolSpec, rows: list[Look], start: int
) -> None:
    for seen, decision in run(spec, rows, start=start):
        assert decision.desired >= spec.bounded(seen.replicas)


@settings(deadline=None)
@given(pools(), looks(), st.integers(0, 30))
def test_an_event_is_reported_for_a_change_and_never_twice_in_a_row(
    spec: PoolSpec, rows: list[Look], start: int
) -> None:
    still = [replace(row, scaled_to=None) for row in rows]
    for seen, decision in run(spec, still, start=start):
        scaled = [t for t in decision.transitions if t.message == decision.message]
        assert len(scaled) == (decision.scale_to is not None)
        assert (decision.scale_to is None) == (decision.desired == seen.replicas)
    twice = run(spec, [*still, replace(still[-1], seconds=0.5)], start=start)
    first, second = twice[-2][1], twice[-1][1]
    if first.scale_to is None and second.scale_to is None and second.reason is first.reason:
        news = {t.reason for t in second.transitions} & {t.reason for t in first.transitions}
        assert not news


def turns(sizes: Sequence[tuple[float, int]]) -> list[float]:
    """When the direction of change turned."""
    found: list[float] = []
    direction = 0
    for (_, before), (at, now) in pairwise(sizes):
        if (now - before) * direction < 0:
            found.append(at)
        direction = (now > before) - (now < before) or direction
    return found


def most_in_a_window(times: Sequence[float], seconds: float) -> int:
    return max((sum(start <= t < start + seconds for t in times) for start in times), default=0)


@settings(deadline=None)
@given(pools(pauseScaleIn=False), looks(), st.sampled_from([60, 300]))
def test_a_pool_turns_at_most_twice_within_its_reversal_time_whatever_is_seen(
    spec: PoolSpec, rows: list[Look], seconds: float
) -> None:
    behavior = spec.behavior.model_copy(update={"reversal_seconds": seconds})
    seen = run(spec.model_copy(update={"behavior": behavior}), rows, start=spec.min_replicas)
    sizes = [(o.at_seconds, d.desired) for o, d in seen]
    assert most_in_a_window(turns(sizes), seconds) <= 2


@pytest.mark.parametrize("period_seconds", [40, 60, 120, 200, 280, 400])
@pytest.mark.parametrize("window_seconds", [0, 60])
@pytest.mark.parametrize("target", [{"backlogPerReplica": 50}, {"drainSeconds": 30}])
def test_a_sawtooth_turns_the_pool_at_most_twice_a_window(
    period_seconds: int, window_seconds: int, target: dict[str, int]
) -> None:
    spec = PoolSpec.model_validate(BASE | target | {"maxReplicas": 30})
    rules = DownRules(stabilization_window_seconds=window_seconds)
    spec = spec.model_copy(update={"behavior": Behavior(scale_down=rules)})
    replicas, unread, delivered, history = 1, 0, 0, LagHistory()
    sizes: list[tuple[float, int]] = []
    for second in range(10, 3600, 10):
        arrived = 2000 * (second % period_seconds) // period_seconds
        done = min(unread + arrived, 100 * replicas)
        unread, delivered = unread + arrived - done, delivered + done
        observation = Observation(
            at_seconds=float(second),
            replicas=replicas,
            ready_replicas=replicas,
            unread=unread,
            pending=0,
            delivered_total=delivered,
        )
        decision, history = decide(spec, observation, history)
        replicas = decision.desired
        sizes.append((float(second), replicas))
    assert most_in_a_window(turns(sizes), 300) <= 2
    assert unread < 30 * 10 * 30
