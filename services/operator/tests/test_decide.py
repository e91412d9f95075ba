from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import ValidationError

from streamdesk.operator.domain.decision import ConditionType, ScalingDecision, ScalingReason
from streamdesk.operator.domain.history import LagHistory
from streamdesk.operator.domain.observation import LagSource, Observation
from streamdesk.operator.domain.pool import PoolSpec
from streamdesk.operator.domain.scaling import decide

RATE = 10


def pool(**fields: Any) -> PoolSpec:
    given = {
        "targetRef": {"name": "desk-order-executor"},
        "redis": {"streams": ["trading:signals"], "group": "order-executors"},
        "maxReplicas": 20,
    }
    target = {} if "backlogPerReplica" in fields else {"drainSeconds": 30}
    return PoolSpec.model_validate(given | target | fields)


@dataclass
class Desk:
    """A pool that is looked at every ten seconds, and whose writes land."""

    spec: PoolSpec
    replicas: int = 1
    at: float = 1_000_000.0
    delivered: int = 0
    unread: int = 0
    history: LagHistory = field(default_factory=LagHistory)
    decision: ScalingDecision | None = None
    events: list[str] = field(default_factory=list)

    def look(self, unread: int | None = 0, pending: int | None = 0, **seen: Any) -> ScalingDecision:
        self.at += 10
        observation = Observation(
            at_seconds=self.at,
            **{
                "replicas": self.replicas,
                "ready_replicas": self.replicas,
                "unread": unread,
                "pending": pending,
                "delivered_total": self.delivered,
            }
            | seen,
        )
        self.decision, self.history = decide(self.spec, observation, self.history)
        if self.decision.scale_to is not None:
            self.replicas = self.decision.scale_to
        self.events += [news.reason for news in self.decision.transitions]
        return self.decision

    def work(self, arrivals_a_second: float, looks: int = 1) -> ScalingDecision:
        """Arrivals and work for ten seconds at `RATE` a replica, then a look; so many times."""
        for _ in range(looks):
            self.unread += round(arrivals_a_second * 10)
            done = min(self.unread, RATE * 10 * self.replicas)
            self.unread, self.delivered = self.unread - done, self.delivered + done
            decision = self.look(self.unread)
        return decision


def test_a_replica_more_is_kept_for_each_backlog_of_the_target() -> None:
    desk = Desk(pool(backlogPerReplica=100))
    assert desk.look(unread=950, pending=50).scale_to == 10
    assert desk.decision is not None
    assert desk.decision.reason is ScalingReason.SCALED_UP
    assert "1 -> 10 replicas: 950 unread, 50 pending" in desk.decision.message


def test_the_rate_of_a_replica_is_measured_before_a_drain_time_scales() -> None:
    desk = Desk(pool())
    assert desk.work(100).reason is ScalingReason.MEASURING
    decision = desk.work(100, looks=3)
    assert decision.rate_per_replica == pytest.approx(RATE)
    # 100 a second arrive and a replica does 10; a tenth more than full is tolerated.
    assert desk.replicas >= 10
    assert desk.work(100, looks=30).desired in (10, 11, 12)
    assert desk.unread <= 30 * RATE * desk.replicas


def test_single_steps_are_made_while_no_rate_can_be_measured() -> None:
    desk = Desk(pool())
    sizes = [desk.look(500 * n, delivered_total=None).desired for n in range(1, 5)]
    assert sizes == [1, 2, 3, 4]


def test_fewer_replicas_come_only_after_the_window() -> None:
    desk = Desk(pool(backlogPerReplica=100))
    desk.look(unread=1000)
    held = [desk.look(unread=200).reason for _ in range(6)]
    assert held == [ScalingReason.STABILIZING] * 6
    assert desk.look(unread=200).scale_to == 2


def test_what_keeps_up_with_arrivals_is_kept_though_nothing_waits() -> None:
    desk = Desk(pool(backlogPerReplica=1000), replicas=4)
    desk.unread = 2000
    desk.work(40, looks=2)
    desk.unread = 0
    desk.work(40, looks=40)
    assert desk.replicas == 4


def test_a_flood_of_a_few_seconds_is_not_taken_for_a_rate() -> None:
    desk = Desk(pool())
    desk.unread = 600
    desk.work(10, looks=10)
    calm = desk.work(10).arrivals_per_second
    desk.work(300)
    assert desk.decision is not None
    assert desk.decision.arrivals_per_second == calm


def test_a_slow_interval_does_not_shift_the_rate() -> None:
    desk = Desk(pool(minReplicas=4, maxReplicas=4), replicas=4)
    desk.unread = 5000
    desk.work(40, looks=6)
    desk.delivered += 1
    assert desk.look(5000).rate_per_replica == pytest.approx(RATE)


def test_a_turn_up_after_a_turn_down_forbids_the_next_turn_down_for_a_while() -> None:
    desk = Desk(pool(backlogPerReplica=100))
    desk.look(unread=1000)
    for _ in range(8):
        desk.look(unread=100)
    assert desk.replicas == 1
    desk.look(unread=1000)
    turned = desk.at
    while desk.replicas == 10:
        last = desk.look(unread=100)
        assert last.scale_to is not None or last.reason in (
            ScalingReason.STABILIZING,
            ScalingReason.JUST_TURNED,
        )
    assert desk.at - turned == 300


def test_policies_allow_so_many_more_in_a_period() -> None:
    rules = {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 20}]}
    desk = Desk(pool(backlogPerReplica=10, behavior={"scaleUp": rules}))
    sizes = [desk.look(unread=1000).desired for _ in range(5)]
    assert sizes == [3, 3, 5, 5, 7]
    assert "TooManyReplicas" in [c.reason for c in desk.look(unread=1000).conditions]


@pytest.mark.parametrize(("select", "reached"), [("Max", 8), ("Min", 5), ("Disabled", 4)])
def test_the_selected_policy_holds(select: str, reached: int) -> None:
    policies = [
        {"type": "Percent", "value": 100, "periodSeconds": 15},
        {"type": "Pods", "value": 1, "periodSeconds": 15},
    ]
    behavior = {"scaleUp": {"policies": policies, "selectPolicy": select}}
    desk = Desk(pool(backlogPerReplica=10, behavior=behavior), replicas=4)
    assert desk.look(unread=1000).desired == reached


@pytest.mark.parametrize(("unread", "desired"), [(1095, 10), (1101, 11), (905, 10), (895, 9)])
def test_a_need_within_the_tolerance_changes_nothing(unread: int, desired: int) -> None:
    window = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    desk = Desk(pool(backlogPerReplica=100, behavior=window), replicas=10)
    desk.look(unread=1000)
    assert desk.look(unread).desired == desired


def test_a_pool_sleeps_only_after_its_idle_time_with_nothing_anywhere() -> None:
    desk = Desk(pool(minReplicas=0), replicas=1)
    desk.look(unread=0, pending=3)
    started = desk.at
    while desk.look().scale_to is None:
        assert desk.decision is not None
        assert desk.decision.reason in (ScalingReason.IDLE_WAIT, ScalingReason.STABILIZING)
    assert desk.replicas == 0
    assert desk.at - started >= 300
    assert desk.decision is not None
    assert desk.decision.reason is ScalingReason.SCALED_TO_ZERO


@pytest.mark.parametrize(
    "rest", [{"unread": 1}, {"pending": 1, "oldest_pending_seconds": 5.0}, {"delayed": 1}]
)
def test_any_rest_keeps_one_replica_and_wakes_a_sleeping_pool(rest: Any) -> None:
    desk = Desk(pool(minReplicas=0), replicas=1)
    for _ in range(100):
        assert desk.look(**rest).desired == 1
    asleep = Desk(pool(minReplicas=0), replicas=0)
    assert asleep.look(**rest).scale_to == 1
    assert asleep.events == ["Woken"]


def test_pending_entries_wake_a_pool_only_when_they_can_be_taken() -> None:
    desk = Desk(pool(minReplicas=0, scaleToZero={"reclaimIdleSeconds": 60}), replicas=0)
    assert desk.look(pending=1, oldest_pending_seconds=59.0).scale_to is None
    assert desk.look(pending=1, oldest_pending_seconds=69.0).scale_to == 1


def test_an_unknown_lag_holds_and_is_reported_once_when_it_lasts() -> None:
    desk = Desk(pool(backlogPerReplica=100), replicas=7)
    desk.look(unread=700)
    for _ in range(50):
        assert desk.look(None, None, error="connection refused").desired == 7
    assert desk.events == ["LagUnknown"]
    assert desk.decision is not None
    assert "connection refused" in desk.decision.message
    desk.look(unread=700)
    assert desk.events == ["LagUnknown", "MetricsBack"]


def test_the_window_starts_anew_after_an_outage() -> None:
    desk = Desk(pool(backlogPerReplica=100), replicas=7)
    for _ in range(50):
        desk.look(None, None)
    assert [desk.look(unread=100).desired for _ in range(6)] == [7] * 6
    assert desk.look(unread=100).desired == 1


def test_a_long_break_of_the_operator_counts_as_nothing_seen() -> None:
    desk = Desk(pool(backlogPerReplica=100), replicas=7)
    desk.look(unread=700)
    desk.at += 3600
    assert desk.look(unread=100).reason is ScalingReason.STABILIZING


@pytest.mark.parametrize(("replicas", "reached"), [(0, 5), (3, 5), (8, 8)])
def test_the_fallback_works_from_zero_and_never_goes_down(replicas: int, reached: int) -> None:
    loss = {"mode": "Fallback", "replicas": 5, "afterFailures": 3}
    desk = Desk(pool(minReplicas=0, onMetricLoss=loss), replicas=replicas)
    assert [desk.look(None, None).desired for _ in range(3)] == [replicas, replicas, reached]
    assert {"LagUnknown", "MetricLoss"} <= set(desk.events)


def test_a_lower_bound_only_takes_replicas_up() -> None:
    desk = Desk(pool(backlogPerReplica=100), replicas=5)
    seen: dict[str, Any] = {"unread_is_lower_bound": True, "source": LagSource.COUNTED}
    assert all(desk.look(unread=200, **seen).desired == 5 for _ in range(40))
    assert desk.decision is not None
    assert desk.decision.reason is ScalingReason.LOWER_BOUND
    assert desk.look(unread=900, **seen).desired == 9


def test_bounds_that_change_count_at_once() -> None:
    desk = Desk(pool(backlogPerReplica=100), replicas=10)
    desk.look(unread=1000)
    desk.spec = pool(backlogPerReplica=100, maxReplicas=4)
    assert desk.look(unread=1000).scale_to == 4
    assert desk.decision is not None
    assert desk.decision.reason is ScalingReason.OUT_OF_BOUNDS
    desk.spec = pool(backlogPerReplica=100, minReplicas=6)
    assert desk.look(None, None).scale_to == 6


def test_paused_scale_in_leaves_more_to_scale_out() -> None:
    desk = Desk(pool(backlogPerReplica=100, pauseScaleIn=True), replicas=5)
    assert all(desk.look(unread=100).desired == 5 for _ in range(60))
    assert desk.decision is not None
    assert desk.decision.reason is ScalingReason.SCALE_IN_PAUSED
    assert desk.look(unread=900).desired == 9


def test_conditions_come_in_one_order_and_one_of_each_type() -> None:
    decision = Desk(pool()).look()
    assert [condition.type for condition in decision.conditions] == list(ConditionType)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"minReplicas": 9, "maxReplicas": 3}, "minReplicas 9 is more than maxReplicas 3"),
        ({"drainSeconds": 3, "backlogPerReplica": 3}, "exactly one"),
        ({"drainSeconds": None}, "exactly one"),
        ({"onMetricLoss": {"mode": "Fallback"}}, "needs onMetricLoss.replicas"),
    ],
)
def test_a_pool_that_contradicts_itself_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        pool(**fields)


def test_a_stale_rate_is_tested_downwards_when_nothing_waits() -> None:
    desk = Desk(pool(), replicas=4)
    desk.unread = 4000
    desk.work(40, looks=3)
    desk.unread = 0
    desk.work(35, looks=170)
    assert desk.replicas == 4
    desk.work(35, looks=30)
    assert "ScaledDown" in desk.events


def test_rules_for_fewer_without_a_window_keep_the_default_window() -> None:
    policy = {"type": "Pods", "value": 1, "periodSeconds": 60}
    rules = pool(behavior={"scaleDown": {"policies": [policy]}}).behavior.scale_down
    assert rules.stabilization_window_seconds == 60


def test_status_of_another_kind_is_an_empty_history() -> None:
    assert LagHistory.from_status(None) == LagHistory()
    assert LagHistory.from_status({"direction": 7}) == LagHistory()
    assert LagHistory.from_status({}) == LagHistory()
