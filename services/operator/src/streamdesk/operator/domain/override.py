"""An external actor scaled the target: which size counts now?"""

from dataclasses import dataclass

from streamdesk.operator.domain.history import LagHistory, Override
from streamdesk.operator.domain.observation import Observation
from streamdesk.operator.domain.pool import ExternalMode, PoolSpec

EXTERNAL_ACTOR = "an external actor"


@dataclass(frozen=True, slots=True)
class TargetAssessment:
    """What the size of the target means.

    Args:
        history: with the override in force, and the size that counts as accepted.
        current: the size to decide from.
        reverts: an external actor's size is to be put back.
        adopts: the pool continues from an external actor's size.
    """

    history: LagHistory
    current: int
    reverts: bool = False
    adopts: bool = False


def assess_target(spec: PoolSpec, seen: Observation, history: LagHistory) -> TargetAssessment:
    """Who set the size of the target, and whether it is to be kept.

    A size is an external actor's when it is neither the one written last nor, before that write was
    seen to land, the one it replaced.
    """
    if spec.paused or spec.dry_run or spec.manual_replicas is not None:
        return TargetAssessment(_accepted(history, seen.replicas, None), seen.replicas)
    history = _expired(history, seen)
    if history.target_replicas is None or seen.replicas == history.target_replicas:
        return TargetAssessment(_accepted(history, seen.replicas, history.override), seen.replicas)
    if seen.replicas == history.replaced_replicas:
        return TargetAssessment(
            history, seen.replicas
        )  # the write failed, or is not to be seen yet
    return _foreign(spec, seen, history)


def _expired(history: LagHistory, seen: Observation) -> LagHistory:
    override = history.override
    if override is None or override.until_seconds is None:
        return history
    if seen.at_seconds < override.until_seconds:
        return history
    return history.model_copy(update={"override": None})


def _accepted(history: LagHistory, replicas: int, override: Override | None) -> LagHistory:
    return history.model_copy(
        update={"target_replicas": replicas, "replaced_replicas": None, "override": override}
    )


def _foreign(spec: PoolSpec, seen: Observation, history: LagHistory) -> TargetAssessment:
    mode = spec.on_external_scale.mode
    woken = history.override is not None and history.override.replicas == 0
    if mode is ExternalMode.REVERT:
        return TargetAssessment(history, history.target_replicas or 0, reverts=True)
    if seen.replicas == 0:
        kept = Override(by=EXTERNAL_ACTOR, replicas=0)
        return TargetAssessment(_accepted(history, 0, kept), 0)
    if woken or mode is ExternalMode.ADOPT:
        accepted = _accepted(history, seen.replicas, None)
        return TargetAssessment(accepted, seen.replicas, adopts=True)
    until = seen.at_seconds + spec.on_external_scale.hold_seconds
    kept = Override(by=EXTERNAL_ACTOR, replicas=seen.replicas, until_seconds=until)
    return TargetAssessment(_accepted(history, seen.replicas, kept), seen.replicas)
