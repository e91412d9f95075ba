"""Streams, groups and sorted sets in dictionaries, as the server keeps them."""

import time
from dataclasses import dataclass, field

from streamdesk.bus.backends.records import Recreated, Step
from streamdesk.bus.envelope import Fields
from streamdesk.bus.topic_keys import TopicKeys

Id = tuple[int, int]
ZERO: Id = (0, 0)
GREATEST = 2**64 - 1


def id_text(entry_id: Id) -> str:
    """As the server writes it."""
    return f"{entry_id[0]}-{entry_id[1]}"


def parse_id(text: str, sequence: int = 0) -> Id:
    """As the server reads it; `sequence` stands in where there is none."""
    milliseconds, _, rest = text.partition("-")
    return int(milliseconds), int(rest or sequence)


def just_before(entry_id: Id) -> Id:
    """The greatest id below this one."""
    milliseconds, sequence = entry_id
    if entry_id == ZERO:
        return ZERO
    return (milliseconds, sequence - 1) if sequence else (milliseconds - 1, GREATEST)


def now_ms() -> int:
    """This machine's clock."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Pending:
    """An entry that a consumer holds."""

    consumer: str
    since_ms: int
    deliveries: int


@dataclass(slots=True)
class Group:
    """A consumer group of one stream."""

    last: Id = ZERO
    pending: dict[Id, Pending] = field(default_factory=dict)
    seen_ms: dict[str, int] = field(default_factory=dict)

    @property
    def finished(self) -> Id:
        """Up to where it has finished everything."""
        return just_before(min(self.pending)) if self.pending else self.last

    def forget_gone(self, before_ms: int) -> None:
        """Drop the names that hold nothing and were not seen since."""
        holding = {held.consumer for held in self.pending.values()}
        for name, at in list(self.seen_ms.items()):
            if at <= before_ms and name not in holding:
                del self.seen_ms[name]


@dataclass(slots=True)
class Stream:
    """A stream and its groups."""

    entries: dict[Id, Fields] = field(default_factory=dict)
    last: Id = ZERO
    added: int = 0
    groups: dict[str, Group] = field(default_factory=dict)

    def add(self, fields: Fields) -> str:
        """Append an entry; returns its id."""
        now = now_ms()
        self.last = (now, 0) if now > self.last[0] else (self.last[0], self.last[1] + 1)
        self.entries[self.last] = dict(fields)
        self.added += 1
        return id_text(self.last)

    def drop_beyond(self, keep: int | None) -> None:
        """Drop the oldest entries, so that `keep` stay; None keeps all."""
        if keep is not None:
            for entry_id in list(self.entries)[: max(0, len(self.entries) - keep)]:
                del self.entries[entry_id]

    def after(self, last: Id) -> list[Id]:
        """The ids of the entries after this one."""
        return [entry_id for entry_id in self.entries if entry_id > last]


@dataclass(slots=True)
class Scheduled:
    """An event that waits for its time."""

    due_ms: int
    stream: int
    fields: Fields


@dataclass(slots=True)
class Store:
    """All keys of the server, by kind."""

    streams: dict[str, Stream] = field(default_factory=dict)
    delayed: dict[str, list[tuple[int, Step]]] = field(default_factory=dict)
    scheduled: dict[str, dict[str, Scheduled]] = field(default_factory=dict)
    cursors: dict[str, dict[str, Id]] = field(default_factory=dict)
    once: dict[str, tuple[int, str]] = field(default_factory=dict)

    def stream(self, key: str) -> Stream:
        """The stream, made where it is missing."""
        return self.streams.setdefault(key, Stream())

    def position(self, topic_keys: TopicKeys, group: str, key: str) -> Id:
        """Up to where the group was given entries; a lost group's saved cursor, if it fits."""
        stream = self.stream(key)
        if group in stream.groups:
            return stream.groups[group].last
        saved = self.cursors.get(topic_keys.cursors(group), {}).get(key, ZERO)
        return saved if saved <= stream.last else ZERO

    def create(self, topic_keys: TopicKeys, group: str) -> list[Recreated]:
        """Make the group where it is not; returns where it had been."""
        cursors = self.cursors.setdefault(topic_keys.cursors(group), {})
        recreated: list[Recreated] = []
        for key in topic_keys.streams:
            groups = self.stream(key).groups
            if group in groups:
                continue
            cursor = self.position(topic_keys, group, key)
            groups[group] = Group(last=cursor)
            if key in cursors:
                recreated.append(Recreated(key, id_text(cursor)))
            cursors[key] = cursor
        return recreated

    def promote(self, topic_keys: TopicKeys, group: str) -> int | None:
        """Move what is due, in the order of due times; return the wait until the next."""
        now = now_ms()
        retries = self.delayed.setdefault(topic_keys.delayed(group), [])
        planned = self.scheduled.setdefault(topic_keys.scheduled, {})
        due = [*_due_retries(retries, now), *_due_events(planned, now)]
        # Retries and scheduled events wait in two places, but share one order: that of due times.
        # The sort is stable, so a retry comes before an event of the same millisecond.
        for _, index, fields in sorted(due, key=lambda item: item[0]):
            self.stream(topic_keys.streams[index]).add(fields)
        left = [at for at, _ in retries] + [s.due_ms for s in planned.values()]
        return min(left) - now if left else None

    def waiting_later(self, topic_keys: TopicKeys, group: str) -> int:
        """How many messages of the group wait for their time."""
        retries = self.delayed.get(topic_keys.delayed(group), [])
        return len(retries) + len(self.scheduled.get(topic_keys.scheduled, {}))

    def written(self, key: str) -> str | None:
        """The entry id that is remembered under a once-key; None when there is none any more."""
        until, entry_id = self.once.get(key, (0, ""))
        if until > now_ms():
            return entry_id
        self.once.pop(key, None)
        return None


def _due_retries(retries: list[tuple[int, Step]], now: int) -> list[tuple[int, int, Fields]]:
    """Take what is due out of a group's retries: due time, stream and fields of each."""
    due = [(at, step.stream, step.fields) for at, step in retries if at <= now]
    retries[:] = [item for item in retries if item[0] > now]
    return due


def _due_events(planned: dict[str, Scheduled], now: int) -> list[tuple[int, int, Fields]]:
    """Take what is due out of the scheduled events: due time, stream and fields of each."""
    ids = [event_id for event_id, scheduled in planned.items() if scheduled.due_ms <= now]
    due = [planned.pop(event_id) for event_id in ids]
    return [(scheduled.due_ms, scheduled.stream, scheduled.fields) for scheduled in due]
