"""From plain data to an event of the contract, or to an error that names the field."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

from pydantic import ValidationError

from streamdesk.contracts.base import Event
from streamdesk.contracts.events import Side, SignalType
from streamdesk.event_bus.errors import InvalidEventError

E = TypeVar("E", bound=Event)
Data = Mapping[str, object]
SHOWN_CHARACTERS = 80
WHOLE = "event"
BEST_SCORE = 100


def make_event(model: type[E], *parts: Data | None) -> E:
    """An event of this model, made of all parts; a later part wins.

    Args:
        model: which event.
        parts: values by field; None for none.

    Raises:
        InvalidEventError: a field is missing, unknown, or has a value it cannot have.
    """
    values = {name: value for part in parts if part for name, value in part.items()}
    unknown = sorted(set(values) - set(model.model_fields))
    if unknown:
        # Readers ignore unknown fields, but a writer has misspelt one.
        known = ", ".join(model.model_fields)
        problem = f"is not a field of it; its fields are {known}"
        raise InvalidEventError(model.type_name(), dict.fromkeys(unknown, problem))
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InvalidEventError(model.type_name(), _problems(error)) from None


def _problems(error: ValidationError) -> dict[str, str]:
    problems: dict[str, str] = {}
    for detail in error.errors(include_url=False, include_context=False):
        field = ".".join(str(step) for step in detail["loc"]) or WHOLE
        if detail["type"] == "missing":
            problems[field] = "is missing"
            continue
        message = detail["msg"].removeprefix("Value error, ")
        got = "" if field == WHOLE else f", got {str(detail['input'])[:SHOWN_CHARACTERS]!r}"
        problems[field] = f"{message}{got}"
    return problems


def signal_defaults(
    signal_type: object, score: object, strategy: str, now: datetime
) -> dict[str, object]:
    """Fields by name; from a score that is not a number nothing is derived.

    Args:
        signal_type: as given; everything but a sell is taken for a buy.
        score: as given, 0 to 100.
        strategy: name of the rules.
        now: when it is queued.
    """
    defaults: dict[str, object] = {
        "side": Side.SELL if signal_type == SignalType.SELL else Side.BUY,
        "reasons": (),
        "indicators": {},
        "strategy": strategy,
        "timestamp": now,
        "queued_at": now,
        "strength": 0,
        "priority": 0,
    }
    if isinstance(score, int | float) and math.isfinite(score):
        bounded = min(max(score, 0), BEST_SCORE)
        defaults["strength"] = round(bounded / BEST_SCORE, 4)
        defaults["priority"] = int(bounded // 10 * 10)
    return defaults
