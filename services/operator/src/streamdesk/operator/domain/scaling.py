"""From what is seen to what is done: `decide`.

need        how many replicas the work asks for                       need.py, rates.py
bounds      minReplicas, maxReplicas
limits      windows, turns, policies                                  limits.py
people      manualReplicas, an external actor's size, pause, dry run  override.py
explanation reason, message, conditions, events                       explanation.py
"""

from dataclasses import dataclass, replace

from streamdesk.operator.domain.decision import ScalingDecision, ScalingReason, Transition
from streamdesk.operator.domain.explanation import conditions, notable, sentence, transitions
from streamdesk.operator.domain.history import LagHistory, Recommendation, ScaleEvent
from streamdesk.operator.domain.limits import limited, longest_period, remember
from streamdesk.operator.domain.need import Need, need
from streamdesk.operator.domain.observation import Observation
from streamdesk.operator.domain.override import TargetAssessment, assess_target
from streamdesk.operator.domain.pool import PoolSpec
from streamdesk.operator.domain.rates import arrivals, learn, service_rate

_BY_NEED = (
    ScalingReason.SCALED_UP,
    ScalingReason.SCALED_DOWN,
    ScalingReason.SCALED_TO_ZERO,
    ScalingReason.WOKEN,
    ScalingReason.FALLBACK,
)


@dataclass(frozen=True, slots=True)
class _Choice:
    """A size and its reason."""

    replicas: int
    reason: ScalingReason


def decide(
    spec: PoolSpec, observation: Observation, history: LagHistory
) -> tuple[ScalingDecision, LagHistory]:
    """What to do about a pool, and what to remember of it.

    Nothing but the arguments counts: the same three give the same two, also in another process.

    Args:
        spec: what a person wants.
        observation: what was seen just now.
        history: what the last call returned, or an empty one.

    Returns:
        The decision, and the history for the next call. If `scale_to` could not be written, the
        returned history is still right: the next look shows what happened.
    """
    target = assess_target(spec, observation, history)
    seen = replace(observation, replicas=target.current)
    then = _looked(seen, target.history)
    needed = need(spec, seen, then)
    then = _remember(spec, needed, target, then, seen.at_seconds)
    choice = _automatic(spec, needed, then, seen)
    choice = _for_people(spec, choice, then, observation, reverts=target.reverts)
    acts = choice.replicas != observation.replicas and not spec.dry_run
    decision = ScalingDecision(
        desired=choice.replicas,
        raw_desired=needed.replicas,
        reason=choice.reason,
        message=sentence(choice.reason, observation.replicas, choice.replicas, seen, then),
        conditions=(),
        scale_to=choice.replicas if acts else None,
        rate_per_replica=service_rate(then),
        arrivals_per_second=arrivals(then),
    )
    decision = replace(decision, conditions=conditions(spec, seen, needed, decision, then))
    return _announced(
        spec, observation, decision, _acted(spec, observation, decision, then, target)
    )


def _looked(seen: Observation, history: LagHistory) -> LagHistory:
    """The history with what this look says of rates, answers and activity."""
    then = learn(history, seen)
    unknown = not seen.is_known
    busy = unknown or bool(seen.unread or seen.pending or seen.delayed or arrivals(then))
    first = history.last_active_seconds is None
    return then.model_copy(
        update={
            "failures": history.failures + 1 if unknown else 0,
            "last_active_seconds": seen.at_seconds if busy or first else then.last_active_seconds,
        }
    )


def _remember(
    spec: PoolSpec, needed: Need, target: TargetAssessment, history: LagHistory, at: float
) -> LagHistory:
    wanted = _wanted(spec, needed, target.current)
    then = remember(spec, history, wanted, target.current, at)
    if target.adopts:  # as if it had been wanted: it stays for a window
        adopted = Recommendation(at_seconds=at, replicas=target.current)
        rows = (adopted, *then.recommendations)
        then = then.model_copy(update={"recommendations": rows})
    return then.model_copy(update={"last_look_seconds": at})


def _wanted(spec: PoolSpec, needed: Need, current: int) -> int:
    """The number wanted, within the bounds; what there is when nothing is known."""
    wanted = spec.bounded(current if needed.replicas is None else needed.replicas)
    return max(wanted, spec.bounded(current)) if needed.only_up else wanted


def _automatic(spec: PoolSpec, needed: Need, history: LagHistory, seen: Observation) -> _Choice:
    """The size that need, bounds and limits give, whoever else may have a say."""
    current = seen.replicas
    inside = spec.bounded(current)
    wanted = _wanted(spec, needed, inside)
    step = limited(spec, history, wanted, inside, seen.at_seconds)
    if step.replicas == current:
        return _Choice(current, step.held_by or needed.reason)
    if step.replicas == inside:
        return _Choice(inside, ScalingReason.OUT_OF_BOUNDS)
    if needed.reason is ScalingReason.FALLBACK:
        return _Choice(step.replicas, ScalingReason.FALLBACK)
    if step.replicas > current:
        return _Choice(step.replicas, ScalingReason.SCALED_UP if current else ScalingReason.WOKEN)
    return _Choice(
        step.replicas, ScalingReason.SCALED_DOWN if step.replicas else ScalingReason.SCALED_TO_ZERO
    )


def _for_people(
    spec: PoolSpec, choice: _Choice, history: LagHistory, seen: Observation, *, reverts: bool
) -> _Choice:
    """What people set comes first: a pin, a pause, an external actor's size."""
    if spec.manual_replicas is not None:
        return _Choice(spec.manual_replicas, ScalingReason.PINNED)
    if spec.paused:
        return _Choice(seen.replicas, ScalingReason.PAUSED)
    if history.override is not None:
        zero = history.override.replicas == 0
        reason = ScalingReason.MANUAL_ZERO if zero else ScalingReason.EXTERNALLY_SCALED
        return _Choice(seen.replicas, reason)
    if reverts and choice.replicas != seen.replicas:
        return _Choice(choice.replicas, ScalingReason.REVERTED)
    return choice


def _acted(
    spec: PoolSpec,
    seen: Observation,
    decision: ScalingDecision,
    history: LagHistory,
    target: TargetAssessment,
) -> LagHistory:
    """The history with the change that is made now, if one is."""
    at = seen.at_seconds
    if decision.scale_to is None:
        return history
    change = decision.scale_to - seen.replicas
    start = at - longest_period(spec)
    events = [event for event in history.scale_events if start < event.at_seconds <= at]
    update: dict[str, object] = {
        "target_replicas": decision.scale_to,
        "replaced_replicas": None if target.reverts else seen.replicas,
        "scale_events": (*events, ScaleEvent(at_seconds=at, change=change)),
        "last_scale_seconds": at,
    }
    if decision.reason in _BY_NEED:
        direction = 1 if change > 0 else -1
        update["direction"] = direction
        if direction > history.direction == -1:
            update["turned_up_seconds"] = at
    return history.model_copy(update=update)


def _announced(
    spec: PoolSpec, seen: Observation, decision: ScalingDecision, history: LagHistory
) -> tuple[ScalingDecision, LagHistory]:
    """The decision with the events that are news, and the history that remembers them."""
    found = notable(spec, decision, history)
    news = list(transitions(_announced_conditions(history), found))
    announced = list(found)
    if decision.scale_to is not None:
        news.append(Transition(decision.reason.value, decision.message))
    elif spec.dry_run and decision.desired != seen.replicas:
        announced.append(f"{ScalingReason.DRY_RUN}/{decision.desired}")
        if announced[-1] not in history.announced:
            news.append(Transition(ScalingReason.DRY_RUN.value, f"not done: {decision.message}"))
    then = history.model_copy(update={"announced": tuple(announced)})
    return replace(decision, transitions=tuple(news)), then


def _announced_conditions(history: LagHistory) -> tuple[str, ...]:
    return tuple(
        key for key in history.announced if not key.startswith(ScalingReason.DRY_RUN.value)
    )
