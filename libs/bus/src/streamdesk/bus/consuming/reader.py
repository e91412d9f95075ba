"""From a taken entry to messages, and from their outcomes to what is written back."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, TypeVar

from pydantic import ValidationError

from streamdesk.bus.backends.records import Entry, Step
from streamdesk.bus.config import RetryPolicy
from streamdesk.bus.consuming.deliveries import Delivery
from streamdesk.bus.dead_letters.letters import (
    Attempt,
    dead_letter_fields,
    history_of,
    letter_of,
    with_attempt,
)
from streamdesk.bus.decoding import Members, decode, member_id, message_of, reader_of
from streamdesk.bus.envelope import Fields, open_envelope
from streamdesk.bus.errors import Reject, RetryAfter
from streamdesk.bus.message import Ack, Dead, Message, Outcome, Retry
from streamdesk.bus.topic_keys import TopicKeys
from streamdesk.contracts.base import Event, Topic
from streamdesk.contracts.errors import ContractError

E = TypeVar("E", bound=Event)


_UNUSUAL = frozenset((b"n", b"g", b"a", b"rp"))
"""Envelope fields that an entry has when it is not one event on its first way."""


@dataclass(frozen=True, slots=True)
class Reader(Generic[E]):
    """Turns a group's entries into messages and outcomes into steps.

    Args:
        fence: of the shard's owner; 0 where a topic has no shards.
    """

    topic: Topic[E]
    topic_keys: TopicKeys
    group: str
    consumer: str
    retry: RetryPolicy
    max_deliveries: int
    fence: int = 0
    _readers: dict[tuple[bytes, bytes], Callable[[bytes], E] | None] = field(default_factory=dict)

    def open(self, entry: Entry, lease_until: float = 0.0) -> tuple[Delivery[E], Sequence[Dead]]:
        """A delivery with all events that can be read; those that cannot are dead."""
        delivery: Delivery[E] = Delivery(entry, lease_until)
        event = self._plain_event(entry)
        if event is not None:
            delivery.events = (event,)
            delivery.open = 1
            return delivery, ()
        return delivery, list(self._look_closer(delivery))

    def _plain_event(self, entry: Entry) -> E | None:
        """The event of an entry that is as nearly all are; None when it must be looked at."""
        fields = entry.fields
        try:
            form = (fields[b"t"], fields[b"v"])
            body = fields[b"b"]
            if not _UNUSUAL.isdisjoint(fields) or entry.deliveries > self.max_deliveries:
                return None
            at = fields[b"at"]
            if not (b"id" in fields and at.isdigit() and len(at) <= len(b"1700000000000")):
                return None
        except KeyError:
            return None
        if form not in self._readers:
            self._readers[form] = reader_of(self.topic, *form)
        read = self._readers[form]
        try:
            return read(body) if read else None
        except ValidationError:
            return None

    def _look_closer(self, delivery: Delivery[E]) -> Iterator[Dead]:
        entry = delivery.entry
        try:
            envelope = delivery.envelope = open_envelope(entry.fields)
            if envelope.only_group not in ("", self.group):
                return  # another group's retry
            if entry.deliveries > self.max_deliveries:
                why = f"handed out {entry.deliveries} times without an outcome"
                yield self._dead(delivery, entry.fields, Dead("deliveries", why))
                return
            members = decode(self.topic, envelope, entry.fields[b"b"])
        except ContractError as error:
            yield self._dead(delivery, entry.fields, Dead(error.reason, str(error)))
            return
        yield from self._fill(delivery, members)

    def _fill(self, delivery: Delivery[E], members: Members[E]) -> Iterator[Dead]:
        delivery.events = members.events
        delivery.places = members.places
        delivery.open = len(members.events)
        for bad in members.unreadable:
            fields = self._alone(delivery.entry.fields, bad.id, bad.body)
            yield self._dead(delivery, fields, Dead(bad.error.reason, str(bad.error)))

    def message(self, delivery: Delivery[E], at: int) -> Message[E]:
        """The message of the delivery's event at this position."""
        entry, event = delivery.entry, delivery.events[at]
        envelope = delivery.envelope
        if envelope is None:
            envelope = delivery.envelope = open_envelope(entry.fields)
        message = message_of(
            self.topic,
            envelope,
            event,
            member_id(envelope, delivery.places, at),
            entry.id,
            self.topic_keys.classes[entry.stream],
        )
        message.deliveries = entry.deliveries
        message.lease_lost = delivery.lease_lost
        message.fence = self.fence or entry.deliveries
        delivery.messages = (*delivery.messages, message)
        return message

    def _alone(self, fields: Fields, member_id: str, body: bytes) -> Fields:
        """A frame's member as an entry of its own; an entry stays as it is."""
        if b"n" not in fields:
            return fields
        single = {name: value for name, value in fields.items() if name not in (b"n", b"z")}
        return single | {b"id": member_id.encode(), b"b": body}

    def settle(
        self,
        delivery: Delivery[E],
        message: Message[E],
        outcome: Outcome,
        tries: Sequence[tuple[str, ...]],
    ) -> Outcome:
        """Note a message's outcome; a retry too many becomes dead. Returns what it came to.

        Args:
            delivery: the entry that carried it.
            message: the message.
            outcome: what the handler said.
            tries: the error chain of each try since the entry was taken, the last one last.
        """
        if isinstance(outcome, Ack):
            return outcome
        fields = delivery.entry.fields
        if b"n" in fields:
            body = message.event.model_dump_json().encode()
            version = str(message.event.version).encode()  # an older one was read as the present
            fields = self._alone(fields, message.id, body) | {b"v": version}
        now = datetime.now(UTC)
        fresh = [Attempt(at=now, consumer=self.consumer, errors=errors) for errors in tries]
        attempts = (*history_of(fields), *fresh)
        errors = tries[-1]
        if isinstance(outcome, Retry) and self._was_tried_enough(message):
            detail = errors[0] if errors else outcome.why
            outcome = Dead("retries-exhausted", detail)
        if isinstance(outcome, Dead):
            return self._dead(delivery, fields, outcome, attempts)
        delay = self._delay_seconds(message, outcome)
        target = self.topic_keys.one_class_down(delivery.entry.stream)
        again = with_attempt(fields, attempts, self.group)
        if delay > 0:
            step = Step("delay", target, again, round(delay * 1000))
        else:
            step = Step("add", target, again)
        delivery.steps = (*delivery.steps, step)
        return outcome

    def retry_in_place(self, message: Message[E], outcome: Outcome) -> float | None:
        """Seconds until a message is tried again in its place; None when that is over."""
        if not isinstance(outcome, Retry) or self._was_tried_enough(message):
            return None
        return self._delay_seconds(message, outcome)

    def _was_tried_enough(self, message: Message[E]) -> bool:
        return message.attempt > self.retry.max_retries

    def _delay_seconds(self, message: Message[E], outcome: Retry) -> float:
        if outcome.delay_seconds is not None:
            return outcome.delay_seconds
        return self.retry.delay_seconds(message.attempt, random.random())  # noqa: S311 - jitter

    def _dead(
        self,
        delivery: Delivery[E],
        fields: Fields,
        outcome: Dead,
        attempts: tuple[Attempt, ...] | None = None,
    ) -> Dead:
        stream = self.topic_keys.first + delivery.entry.stream
        letter = letter_of(
            self.topic.name, self.group, stream, fields, outcome.reason, outcome.detail, attempts
        )
        delivery.steps = (*delivery.steps, Step("dead", 0, dead_letter_fields(letter, fields)))
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
