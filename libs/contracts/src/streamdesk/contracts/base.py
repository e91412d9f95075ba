"""What every event and every topic has in common.

`libs/bus` knows this module and nothing else of the contracts.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from streamdesk.contracts.errors import (
    InvalidBodyError,
    UnknownEventError,
    UnknownVersionError,
)

JsonObject = dict[str, Any]
Upcaster = Callable[[JsonObject], JsonObject]


class Event(BaseModel):
    """Something that happened: immutable, finite numbers only, named in the past tense.

    A field may be added with a default at any time: readers ignore what they do not know.
    Anything else is a new version: raise `version` and add an upcaster from the old one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    version: ClassVar[int] = 1
    """Version written by this code."""

    upcasters: ClassVar[Mapping[int, Upcaster]] = {}
    """From version n (key) to n + 1: takes and returns the body as a JSON object."""

    @classmethod
    def type_name(cls) -> str:
        """Name on the wire, the envelope's `t`."""
        return cls.__name__

    @classmethod
    def decode(cls, version: int, body: bytes) -> Self:
        """Read a body of any version this code knows.

        Raises:
            UnknownVersionError: no chain of upcasters leads from `version` to the current one.
            InvalidBodyError: not JSON, or not this model.
        """
        try:
            if version == cls.version:
                return cls.model_validate_json(body)
            return cls.model_validate(cls._upcast(version, body))
        except ValidationError as error:
            raise InvalidBodyError(cls.type_name(), summary(error)) from error

    @classmethod
    def _upcast(cls, version: int, body: bytes) -> JsonObject:
        # A version from the future has no steps: an older reader must not guess at newer fields.
        steps = range(version, cls.version)
        if version < 1 or not steps or any(step not in cls.upcasters for step in steps):
            raise UnknownVersionError(cls.type_name(), version, cls.version)
        try:
            value: Any = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise InvalidBodyError(cls.type_name(), str(error)) from error
        if not isinstance(value, dict):
            raise InvalidBodyError(cls.type_name(), "not a JSON object")
        try:
            for step in steps:
                value = cls.upcasters[step](value)
        # What an upcaster stumbles over is a fault of the body: a dead letter, not a crash.
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            detail = f"cannot be read as version {version}: {error!r}"
            raise InvalidBodyError(cls.type_name(), detail) from error
        return dict(value)


def summary(error: ValidationError) -> str:
    """One line of a pydantic error: which field, what is wrong, which value."""
    parts = []
    for detail in error.errors(include_url=False, include_context=False)[:5]:
        where = ".".join(str(step) for step in detail["loc"]) or "body"
        parts.append(f"{where}: {detail['msg']} (got {str(detail['input'])[:80]!r})")
    return "; ".join(parts)


E_co = TypeVar("E_co", bound=Event, covariant=True)


@dataclass(frozen=True, slots=True)
class Consumer:
    """A service that reads a topic: in a group (each entry once) or, without one, all of it."""

    service: str
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Topic(Generic[E_co]):
    """One kind of traffic on the bus.

    Args:
        name: short name in code, metrics and commands, as in `signals`.
        key: Redis key of the stream; with classes, the name they share.
        models: the events that travel here.
        about: one sentence for the generated documents.
        mode: `entry`, one event a stream entry; `frame`, up to some hundreds as a JSON array.
        key_field: the event's field that identifies what it is about, the envelope's `k`.
        class_field: the event's field or property with its priority class, one of `classes`.
        classes: priority classes, ascending; empty where arrival is the only order.
        reserved_class: the highest class, if it has room of its own: its events fill as much again
            as `max_backlog`, which the other classes share, and their retries stay in it.
        displaces: at `max_backlog` an event of a higher class takes the place of an unread one of
            a lower class, which goes to the dead letters.
        dead_key: Redis key of the dead letters.
        keep: how many entries stay readable after every group has acknowledged them.
        max_backlog: entries waiting, pending or delayed for a group at which a publish is
            refused; None for no limit. With shards, of each shard.
        shards: more than 1 spreads the topic over so many streams, `{<key>:0}` and so on. What
            has the same `key_field` stays in one shard, in order. Changing it moves keys.
        durable: a publish waits until replicas have the entry, as the bus's settings say.
        dedup_window_seconds: an event id that is published again within this time is not written
            again; None where the same id may be written twice.
        hard_cap: entries of one stream, read or not, at which a publish is refused and an alarm
            goes. What a group has not read is never dropped, so this is the last bound.
        compress_above_bytes: bodies of frames above this size are compressed where it pays;
            None never.
        producers: services that write here.
        consumers: services that read here.

    Raises:
        ValueError: values that contradict each other; names the topic and the values.
    """

    name: str
    key: str
    models: tuple[type[E_co], ...]
    about: str
    dead_key: str
    mode: Literal["entry", "frame"] = "entry"
    key_field: str | None = None
    class_field: str | None = None
    classes: tuple[int, ...] = ()
    reserved_class: int | None = None
    displaces: bool = False
    keep: int = 10_000
    max_backlog: int | None = None
    producers: tuple[str, ...] = ()
    consumers: tuple[Consumer, ...] = ()
    shards: int = 1
    durable: bool = False
    dedup_window_seconds: float | None = None
    hard_cap: int = 1_000_000
    compress_above_bytes: int | None = None

    def __post_init__(self) -> None:
        """Refuse arguments that contradict each other."""
        window, size = self.dedup_window_seconds, self.compress_above_bytes
        sharded, frames = self.shards > 1, self.mode == "frame"
        highest = max(self.classes, default=None)
        refusals = (
            (
                self.reserved_class not in {None, highest},
                f"reserved_class={self.reserved_class}; expected the highest of {self.classes}",
            ),
            (self.shards < 1, f"shards is {self.shards}; expected 1 or more"),
            (
                sharded and self.classes,
                f"shards={self.shards} and classes={self.classes}; drop one",
            ),
            (
                sharded and not self.key_field,
                f"shards={self.shards} without a key_field to spread by",
            ),
            (window is not None and window <= 0, f"dedup_window_seconds is {window}; expected > 0"),
            (
                window is not None and frames,
                f"dedup_window_seconds={window} with mode='frame', whose events have no id yet",
            ),
            (
                self.keep >= self.hard_cap,
                f"keep={self.keep} with hard_cap={self.hard_cap}; expected a cap above it",
            ),
            (size is not None and size < 0, f"compress_above_bytes is {size}; expected 0 or more"),
            (
                size is not None and not frames,
                f"compress_above_bytes={size} with mode={self.mode!r}; only frames are compressed",
            ),
        )
        wrong = [text for is_so, text in refusals if is_so]
        if wrong:
            raise ValueError(f"topic {self.name!r}: {'; '.join(wrong)}")

    @property
    def groups(self) -> tuple[str, ...]:
        """The consumer groups that must have every entry."""
        return tuple(consumer.group for consumer in self.consumers if consumer.group)

    def configured(self, *, key: str | None = None, max_backlog: int | None = None) -> Self:
        """The same topic under another key or limit; the dead letters follow a changed key."""
        changed = self
        if key is not None and key != self.key:
            changed = replace(self, key=key, dead_key=f"{key}:dead")
        return changed if max_backlog is None else replace(changed, max_backlog=max_backlog)

    def model(self, type_name: str) -> type[E_co]:
        """The model of this name.

        Raises:
            UnknownEventError: none of the topic's models is called so.
        """
        for model in self.models:
            if model.type_name() == type_name:
                return model
        known = [model.type_name() for model in self.models]
        raise UnknownEventError(type_name, self.name, known)

    def decode(self, type_name: str, version: int, body: bytes) -> E_co:
        """Read one event; raises ContractError when it does not keep the contract."""
        return self.model(type_name).decode(version, body)

    def key_of(self, event: Event) -> str:
        """What the event is about, as the envelope's `k`; empty where the topic has no key."""
        return str(getattr(event, self.key_field)) if self.key_field else ""

    def limit_of(self, priority: int | None) -> int | None:
        """The backlog of all classes together at which a publish to this class is refused."""
        if self.max_backlog is None or priority is None or priority != self.reserved_class:
            return self.max_backlog
        return 2 * self.max_backlog

    def class_of(self, event: Event) -> int | None:
        """The event's priority class, rounded down to one that exists; None without classes."""
        if not self.classes or self.class_field is None:
            return None
        wanted: float = getattr(event, self.class_field)
        return max((c for c in self.classes if c <= wanted), default=self.classes[0])
