"""From a taken entry to messages, and from their outcomes to what is written back."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, TypeVar

from streamdesk.bus.backend import Entry, Failure, Step
from streamdesk.bus.config import RetryPolicy
from streamdesk.bus.dead_letters import (
    Attempt,
    DeadLetter,
    dead_letter_fields,
    history_of,
    with_attempt,
)
from streamdesk.bus.envelope import Envelope, Fields, Member, decode, open_envelope
from streamdesk.bus.errors import Reject, RetryAfter
from streamdesk.bus.layout import Layout
from streamdesk.bus.message import Ack, Dead, Message, Outcome, Retry
from streamdesk.contracts.base import Event, Topic
from streamdesk.contracts.errors import ContractError

E = TypeVar("E", bound=Event)


@dataclass(slots=True)
class Delivery(Generic[E]):
    """An entry in hand and what became of its members so far."""

    entry: Entry
    messages: list[Message[E]] = field(default_factory=list)
    open: int = 0
    begun: bool = False
    steps: list[Step] = field(default_factory=list)

    @property
    def failure(self) -> Failure | None:
        """What must be written before the ack; None when all went well."""
        return Failure(self.entry.held, tuple(self.steps)) if self.steps else None


@dataclass(frozen=True, slots=True)
class Reader(Generic[E]):
    """Turns a group's entries into messages and outcomes into steps."""

    topic: Topic[E]
    layout: Layout
    group: str
    consumer: str
    retry: RetryPolicy
    max_deliveries: int

    def open(self, entry: Entry) -> tuple[Delivery[E], list[Dead]]:
        """A delivery with a message for each readable member; what is not readable is dead."""
        delivery: Delivery[E] = Delivery(entry)
        try:
            envelope = open_envelope(entry.fields)
            if envelope.only_group not in ("", self.group):
                return delivery, []  # another group's retry
            if entry.deliveries > self.max_deliveries:
                why = f"handed out {entry.deliveries} times without an outcome"
                return delivery, [self._dead(delivery, entry.fields, Dead("deliveries", why))]
            members = decode(self.topic, envelope, entry.fields[b"b"])
        except ContractError as error:
            dead = Dead(error.reason, str(error))
            return delivery, [self._dead(delivery, entry.fields, dead)]
        return delivery, list(self._fill(delivery, envelope, members))

    def _fill(
        self, delivery: Delivery[E], envelope: Envelope, members: list[Member[E]]
    ) -> Iterator[Dead]:
        for member in members:
            if member.error is not None or member.event is None:
                fields = self._alone(delivery.entry.fields, member.id, member.body)
                error = member.error
                dead = Dead(error.reason if error else "invalid-body", str(error))
                yield self._dead(delivery, fields, dead)
            else:
                delivery.messages.append(self._message(delivery.entry, envelope, member))
        delivery.open = len(delivery.messages)

    def _message(self, entry: Entry, envelope: Envelope, member: Member[E]) -> Message[E]:
        assert member.event is not None  # noqa: S101 - the caller has looked
        trace = {"traceparent": envelope.traceparent} if envelope.traceparent else {}
        return Message(
            id=member.id,
            event=member.event,
            topic=self.topic.name,
            key=envelope.key or self.topic.key_of(member.event),
            attempt=envelope.failed_attempts + 1,
            deliveries=entry.deliveries,
            published_at=envelope.published_at,
            entry_id=entry.id,
            priority=self.layout.classes[entry.stream],
            trace_context=trace,
        )

    def _alone(self, fields: Fields, member_id: str, body: bytes) -> Fields:
        """A frame's member as an entry of its own; an entry stays as it is."""
        if b"n" not in fields:
            return fields
        single = {name: value for name, value in fields.items() if name != b"n"}
        return single | {b"id": member_id.encode(), b"b": body}

    def settle(
        self, delivery: Delivery[E], message: Message[E], outcome: Outcome, errors: tuple[str, ...]
    ) -> Outcome:
        """Note a member's outcome; a retry too many becomes dead. Returns what it came to."""
        if isinstance(outcome, Ack):
            return outcome
        body = (
            b"" if b"n" not in delivery.entry.fields else message.event.model_dump_json().encode()
        )
        fields = self._alone(delivery.entry.fields, message.id, body)
        attempt = Attempt(at=datetime.now(UTC), consumer=self.consumer, errors=errors)
        attempts = (*history_of(fields), attempt)
        if isinstance(outcome, Retry) and message.attempt > self.retry.max_retries:
            detail = errors[0] if errors else outcome.why
            outcome = Dead("retries-exhausted", detail)
        if isinstance(outcome, Dead):
            return self._dead(delivery, fields, outcome, attempts)
        delay = outcome.delay_seconds
        if delay is None:
            chance = random.random()  # noqa: S311 - jitter
            delay = self.retry.delay_seconds(message.attempt, chance)
        target = self.layout.one_class_down(delivery.entry.stream)
        again = with_attempt(fields, attempts, self.group)
        if delay > 0:
            delivery.steps.append(Step("delay", target, again, round(delay * 1000)))
        else:
            delivery.steps.append(Step("add", target, again))
        return outcome

    def _dead(
        self,
        delivery: Delivery[E],
        fields: Fields,
        outcome: Dead,
        attempts: tuple[Attempt, ...] | None = None,
    ) -> Dead:
        def text(name: bytes) -> str:
            return fields.get(name, b"").decode("utf-8", "backslashreplace")

        replays = text(b"rp")
        letter = DeadLetter(
            topic=self.topic.name,
            group=self.group,
            reason=outcome.reason,
            detail=outcome.detail,
            attempts=history_of(fields) if attempts is None else attempts,
            event_type=text(b"t"),
            event_version=text(b"v"),
            event_id=text(b"id"),
            stream=delivery.entry.stream,
            replays=int(replays) if replays.isdigit() else 0,
            body=text(b"b"),
        )
        delivery.steps.append(Step("dead", 0, dead_letter_fields(letter, fields)))
        return outcome


def outcome_of(error: Exception) -> Outcome:
    """What an exception of a handler asks for."""
    if isinstance(error, RetryAfter):
        return Retry(error.seconds, str(error))
    if isinstance(error, Reject):
        return Dead(error.reason, error.detail)
    if isinstance(error, ContractError):
        return Dead(error.reason, str(error))
    return Retry(why=f"{type(error).__name__}: {error}")
