from typing import Any

import pytest

from streamdesk.operator.domain.decision import ScalingDecision, ScalingReason
from streamdesk.operator.domain.history import LagHistory
from streamdesk.operator.domain.observation import Observation
from streamdesk.operator.domain.pool import PoolSpec
from streamdesk.operator.domain.scaling import decide


def pool(**fields: Any) -> PoolSpec:
    given = {
        "targetRef": {"name": "desk-order-executor"},
        "redis": {"streams": ["trading:signals"], "group": "order-executors"},
        "backlogPerReplica": 100,
    }
    return PoolSpec.model_validate(given | fields)


def external(mode: str, hold_seconds: float = 600) -> PoolSpec:
    return pool(onExternalScale={"mode": mode, "holdSeconds": hold_seconds})


class Desk:
    """A pool with 300 entries waiting: three replicas are needed."""

    def __init__(self, spec: PoolSpec, replicas: int = 3) -> None:
        self.spec, self.replicas, self.at = spec, replicas, 1_000_000.0
        self.history = LagHistory()
        self.events: list[str] = []
        self.lost_writes = False

    def look(self, unread: int = 300) -> ScalingDecision:
        self.at += 10
        seen = Observation(
            at_seconds=self.at,
            replicas=self.replicas,
            ready_replicas=self.replicas,
            unread=unread,
            pending=0,
            delivered_total=0,
        )
        decision, self.history = decide(self.spec, seen, self.history)
        if decision.scale_to is not None and not self.lost_writes:
            self.replicas = decision.scale_to
        self.events += [news.reason for news in decision.transitions]
        return decision


@pytest.mark.parametrize("replicas", [1, 8, 25])
def test_an_external_actors_size_is_held_for_its_time_and_reported_once(replicas: int) -> None:
    desk = Desk(external("Hold"))
    desk.look()
    desk.replicas = replicas
    held = [desk.look() for _ in range(60)]
    assert {d.desired for d in held} == {replicas}
    assert {d.reason for d in held} == {ScalingReason.EXTERNALLY_SCALED}
    assert "back to the need in 600 s" in held[0].message
    assert desk.events == ["ExternallyScaled"]
    desk.look()
    assert "OverrideEnded" in desk.events
    for _ in range(10):
        desk.look()
    assert desk.replicas == 3


def test_another_number_begins_another_hold() -> None:
    desk = Desk(external("Hold", hold_seconds=60))
    desk.look()
    desk.replicas = 8
    for _ in range(5):
        desk.look()
    desk.replicas = 7
    assert [desk.look().desired for _ in range(6)] == [7] * 6
    assert desk.events == ["ExternallyScaled", "ExternallyScaled"]


def test_the_pool_continues_from_an_adopted_size() -> None:
    desk = Desk(external("Adopt"))
    for _ in range(20):
        desk.look()
    desk.replicas = 8
    assert [desk.look().desired for _ in range(7)] == [8] * 7
    assert desk.look().desired == 3
    desk.replicas = 1
    assert desk.look().desired == 3


@pytest.mark.parametrize("replicas", [0, 1, 8])
def test_a_reverted_number_is_put_back_at_once(replicas: int) -> None:
    desk = Desk(external("Revert"))
    desk.look()
    desk.replicas = replicas
    decision = desk.look()
    assert decision.scale_to == 3
    assert decision.reason is ScalingReason.REVERTED


@pytest.mark.parametrize("mode", ["Hold", "Adopt"])
def test_zero_by_another_hand_holds_until_that_hand_scales_up(mode: str) -> None:
    desk = Desk(external(mode, hold_seconds=10))
    desk.look()
    desk.replicas = 0
    held = [desk.look() for _ in range(100)]
    assert {d.scale_to for d in held} == {None}
    assert held[-1].reason is ScalingReason.MANUAL_ZERO
    desk.history = LagHistory.from_status(desk.history.as_status())
    assert desk.look().scale_to is None
    desk.replicas = 1
    assert desk.look().scale_to == 3


def test_a_write_that_failed_is_made_again_and_is_no_external_actors() -> None:
    desk = Desk(external("Hold"))
    desk.look()
    desk.lost_writes = True
    assert [desk.look(unread=900).scale_to for _ in range(5)] == [9] * 5
    desk.lost_writes = False
    assert desk.look(unread=900).scale_to == 9
    assert desk.look(unread=900).reason is ScalingReason.AS_NEEDED
    assert set(desk.events) == {"ScaledUp"}


def test_a_size_that_came_back_after_the_write_landed_is_an_external_actors() -> None:
    desk = Desk(external("Hold"))
    desk.look()
    desk.look(unread=900)
    desk.look(unread=900)
    desk.replicas = 3
    assert desk.look(unread=900).reason is ScalingReason.EXTERNALLY_SCALED


@pytest.mark.parametrize("pin", [0, 2, 50])
def test_a_pin_counts_whatever_the_work_the_bounds_and_other_hands_say(pin: int) -> None:
    desk = Desk(external("Hold"))
    desk.look()
    desk.spec = desk.spec.model_copy(update={"manual_replicas": pin, "paused": True})
    assert desk.look(unread=5000).desired == pin
    desk.replicas = 7
    assert desk.look(unread=5000).scale_to == pin
    desk.spec = external("Hold")
    desk.look()
    assert desk.look().reason not in (ScalingReason.PINNED, ScalingReason.EXTERNALLY_SCALED)
    assert "Pinned" in desk.events
    assert "OverrideEnded" in desk.events


def test_a_paused_pool_is_left_as_it_is_and_continues_from_there() -> None:
    desk = Desk(pool(paused=True))
    assert desk.look(unread=900).scale_to is None
    desk.replicas = 6
    assert desk.look(unread=900).reason is ScalingReason.PAUSED
    desk.spec = pool()
    assert desk.look(unread=900).scale_to == 9
    assert desk.events == ["Paused", "Resumed", "ScaledUp"]


def test_a_dry_run_reports_what_it_would_do_once() -> None:
    desk = Desk(pool(dryRun=True))
    decisions = [desk.look(unread=900) for _ in range(5)]
    assert {d.scale_to for d in decisions} == {None}
    assert {d.desired for d in decisions} == {9}
    desk.look(unread=500)
    desk.look(unread=500)
    assert desk.events == ["DryRun", "DryRun"]
    assert desk.replicas == 3
