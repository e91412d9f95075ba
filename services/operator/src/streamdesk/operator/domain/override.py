"""Another hand scaled the target: whose number counts now?"""

from dataclasses import dataclass

from streamdesk.operator.domain.history import History, Override
from streamdesk.operator.domain.observation import Observation
from streamdesk.operator.domain.pool import ExternalMode, PoolSpec

ANOTHER_HAND = "another hand"


@dataclass(frozen=True, slots=True)
class Standing:
    """What the target's number is worth.

    Args:
        history: with the override in force, and the number that counts as accepted.
        current: number to decide from.
        reverts: another hand's number is to be put back.
        adopts: another hand's number is where the pool goes on from.
    """

    history: History
    current: int
    reverts: bool = False
    adopts: bool = False


def standing(spec: PoolSpec, seen: Observation, history: History) -> Standing:
    """Whose number the target has, and whether it is to be kept.

    A number is another hand's when it is neither the one written last nor, before that write was
    seen to land, the one it replaced.
    """
    if spec.paused or spec.dry_run or spec.manual_replicas is not None:
        return Standing(_accepted(history, seen.replicas, None), seen.replicas)
    history = _expired(history, seen)
    if history.target_replicas is None or seen.replicas == history.target_replicas:
        return Standing(_accepted(history, seen.replicas, history.override), seen.replicas)
    if seen.replicas == history.replaced_replicas:
        return Standing(history, seen.replicas)  # the write failed, or is not to be seen yet
    return _foreign(spec, seen, history)


def _expired(history: History, seen: Observation) -> History:
    override = history.override
    if override is None or override.until_seconds is None:
        return history
    if seen.at_seconds < override.until_seconds:
        return history
    return history.model_copy(update={"override": None})


def _accepted(history: History, replicas: int, override: Override | None) -> History:
    return history.model_copy(
        update={"target_replicas": replicas, "replaced_replicas": None, "override": override}
    )


def _foreign(spec: PoolSpec, seen: Observation, history: History) -> Standing:
    mode = spec.on_external_scale.mode
    woken = history.override is not None and history.override.replicas == 0
    if mode is ExternalMode.REVERT:
        return Standing(history, history.target_replicas or 0, reverts=True)
    if seen.replicas == 0:
        kept = Override(by=ANOTHER_HAND, replicas=0)
        return Standing(_accepted(history, 0, kept), 0)
    if woken or mode is ExternalMode.ADOPT:
        accepted = _accepted(history, seen.replicas, None)
        return Standing(accepted, seen.replicas, adopts=True)
    until = seen.at_seconds + spec.on_external_scale.hold_seconds
    kept = Override(by=ANOTHER_HAND, replicas=seen.replicas, until_seconds=until)
    return Standing(_accepted(history, seen.replicas, kept), seen.replicas)
