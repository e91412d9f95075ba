"""The arguments of the scripts, and what their answers mean."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from streamdesk.bus.backends.records import Displaced, Entry, Failure, Held, Recreated, Taken
from streamdesk.bus.connection.wire import Argument, Reply
from streamdesk.bus.dead_letters.letters import QUEUE_FULL, DeadLetter
from streamdesk.bus.envelope import Fields, new_ids
from streamdesk.bus.topic_keys import TopicKeys


def flat(fields: Fields) -> list[bytes]:
    """Names and values in turn, as XADD takes them."""
    return list(chain.from_iterable(fields.items()))


def fields_of(words: Sequence[bytes]) -> Fields:
    """Names and values in turn, as the server answers."""
    names = iter(words)
    return dict(zip(names, names, strict=False))  # each pair takes two of the same iterator


def entries_of(index: int, rows: Sequence[Any]) -> list[Entry]:
    """Rows of a script: id, flat fields, and after a reclaim the number of deliveries."""
    return [
        Entry(index, row[0].decode(), fields_of(row[1]), int(row[2]) if len(row) > 2 else 1)  # noqa: PLR2004 - the row's shape
        for row in rows
    ]


def rows_of(read: Reply) -> Sequence[Any]:
    """The rows of an XREADGROUP of one stream; none of an error."""
    return read[0][1] if isinstance(read, list) and read else ()


def taken_of(topic_keys: TopicKeys, moved: Reply, rows: Sequence[Any]) -> Taken:
    """What `take.lua` answered, and rows of the one stream that was read without it."""
    taken, due, last, recreated = moved or ((), -1, (), ())
    entries = [entry for index, part in taken for entry in entries_of(index - 1, part)]
    return Taken(
        entries=[*entries, *entries_of(0, rows)],
        next_due_ms=None if due < 0 else int(due),
        last_ids=[item.decode() for item in last],
        recreated=recreated_of(topic_keys, recreated),
    )


def recreated_of(topic_keys: TopicKeys, rows: Sequence[Any]) -> list[Recreated]:
    """The groups that a script made again."""
    return [Recreated(topic_keys.streams[index - 1], cursor.decode()) for index, cursor in rows]


def backlog_keys(topic_keys: TopicKeys) -> list[str]:
    """The keys that `backlog` in `common.lua` counts in."""
    helpers = [topic_keys.scheduled, topic_keys.trimmed]
    for group in topic_keys.groups:
        helpers += [topic_keys.delayed(group), topic_keys.cursors(group)]
    return [*topic_keys.streams, *helpers]


def backlog_arguments(topic_keys: TopicKeys) -> list[Argument]:
    """How a script is to read those keys."""
    return [len(topic_keys.streams), len(topic_keys.groups), *topic_keys.groups]


def limit_argument(limit: int | None) -> int:
    """A number, or -1 for none."""
    return -1 if limit is None else limit


def displacing_argument(topic_keys: TopicKeys, stream: int, count: int) -> bytes:
    """What `publish.lua` is to write about what it gives up for `count` entries of a stream."""
    now = datetime.now(UTC)
    letters = {
        "stream": stream + 1,
        "class": str(topic_keys.classes[stream]),
        "topic": topic_keys.topic,
        "reason": QUEUE_FULL,
        "type": DeadLetter.type_name(),
        "version": str(DeadLetter.version),
        "at": str(round(now.timestamp() * 1000)),
        "dead_at": now.isoformat(),
        "ids": new_ids(count * len(topic_keys.groups)),
    }
    return json.dumps(letters).encode()


def displaced_of(rows: Sequence[Any]) -> list[Displaced]:
    """What `publish.lua` gave up."""
    return [
        Displaced(group.decode(), index - 1, event_id.decode("utf-8", "backslashreplace"))
        for group, index, event_id in rows
    ]


def failure_arguments(failure: Failure) -> list[Argument]:
    """A failure as `settle.lua` reads it."""
    stream, entry_id = failure.held
    words: list[Argument] = [stream + 1, entry_id, len(failure.steps)]
    for step in failure.steps:
        parts = flat(step.fields)
        words += [step.kind, step.stream + 1, step.delay_ms, len(parts), *parts]
    return words


def numbered(held: Sequence[Held]) -> list[Argument]:
    """Stream positions as Lua counts them, and entry ids, in turn."""
    return [part for stream, entry_id in held for part in (stream + 1, entry_id)]
