"""What a group at its limit gives up for stronger entries, in memory."""

from collections.abc import Iterator, Sequence

from streamdesk.bus.backends.memory.streams import Store, id_text, parse_id
from streamdesk.bus.backends.records import Displaced, Entry
from streamdesk.bus.dead_letters.letters import dead_letter_fields, displaced_letter
from streamdesk.bus.envelope import Fields
from streamdesk.bus.topic_keys import TopicKeys


def weakest(
    store: Store, topic_keys: TopicKeys, group: str, above: int, wanted: int
) -> list[Entry]:
    """Unread entries of the streams below `above`: the lowest class first, in it the oldest."""
    found: list[Entry] = []
    for index in reversed(range(above + 1, len(topic_keys.streams))):
        stream = store.stream(topic_keys.streams[index])
        unread = stream.after(store.position(topic_keys, group, topic_keys.streams[index]))
        found += [
            Entry(index, id_text(entry_id), stream.entries[entry_id])
            for entry_id in unread[: wanted - len(found)]
        ]
    return found


def give_up(
    store: Store,
    topic_keys: TopicKeys,
    group: str,
    entries: Sequence[Entry],
    newcomers: Sequence[Fields],
    above: int,
) -> Iterator[Displaced]:
    """Move the group past these entries, and make dead letters of them.

    Args:
        store: all streams.
        topic_keys: of the topic.
        group: which gives them up.
        entries: as `weakest` found them.
        newcomers: what each makes room for, in turn.
        above: position of the newcomers' stream.
    """
    store.create(topic_keys, group)
    for entry, newcomer in zip(entries, newcomers, strict=False):
        row = store.stream(topic_keys.streams[entry.stream]).groups[group]
        row.last = max(row.last, parse_id(entry.id))
        if entry.fields.get(b"g", b"") in (b"", group.encode()):  # else another group's retry
            letter = displaced_letter(topic_keys, group, entry, newcomer, above)
            store.stream(topic_keys.dead).add(dead_letter_fields(letter, entry.fields))
            event_id = entry.fields.get(b"id", b"").decode("utf-8", "backslashreplace")
            yield Displaced(group, entry.stream, event_id)
