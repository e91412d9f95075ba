"""Which Redis keys a topic uses."""

import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from streamdesk.contracts.base import Topic


@dataclass(frozen=True, slots=True)
class TopicKeys:
    """The keys of one topic, or of one shard of it.

    Args:
        topic: name of the topic.
        streams: keys of its streams, highest class first; one where there are no classes.
        classes: the class of each stream, None where there are none.
        dead: key of the dead letters.
        tag: prefix of helper keys; its hash tag puts them beside the streams in a cluster.
        groups: groups that must have every entry.
        first: position of its first stream among all of the topic's; not 0 for a later shard.
        reserved: position of the class that has room of its own; None without one.
    """

    topic: str
    streams: tuple[str, ...]
    classes: tuple[int | None, ...]
    dead: str
    tag: str
    groups: tuple[str, ...]
    first: int = 0
    reserved: int | None = None

    def delayed(self, group: str) -> str:
        """Sorted set of a group's retries that wait for their time."""
        return f"{self.tag}:delayed:{group}"

    @property
    def scheduled(self) -> str:
        """Sorted set of event ids that were published for later, by the time they are due."""
        return f"{self.tag}:delayed"

    @property
    def scheduled_fields(self) -> str:
        """Hash of what is written when the time of a scheduled event id has come."""
        return f"{self.tag}:delayed-fields"

    def cursors(self, group: str) -> str:
        """Hash from stream to the entry up to which the group has finished all."""
        return f"{self.tag}:cursors:{group}"

    @property
    def trimmed(self) -> str:
        """Hash from stream to the number of entries that the bus knows to be gone from it."""
        return f"{self.tag}:trimmed"

    def once(self, event_id: str) -> str:
        """Key that remembers for a while that this event was written."""
        return f"{self.tag}:once:{event_id}"

    def owner(self, group: str) -> str:
        """Name of the consumer that owns this shard; it expires with its lease."""
        return f"{self.tag}:owner:{group}"

    def fence(self, group: str) -> str:
        """Number that grows with each new owner of this shard."""
        return f"{self.tag}:fence:{group}"

    def adoption(self, group: str) -> str:
        """Name of the shard's last adoption: only a caller that knows it is given entries."""
        return f"{self.tag}:adoption:{group}"

    def members(self, group: str) -> str:
        """Sorted set of the group's consumers by the time at which they count as gone."""
        return f"{self.tag}:members:{group}"

    def index_of(self, priority: int | None) -> int:
        """Position of a class's stream."""
        return self.classes.index(priority)

    def one_class_down(self, index: int) -> int:
        """Where a retry goes: the next lower class's stream.

        The lowest class, the one with room of its own and a shard stay as they are.
        """
        if self.classes[index] is None or index == self.reserved:
            return index
        return min(index + 1, len(self.streams) - 1)


@lru_cache(maxsize=256)
def keys_of(topic: Topic[Any]) -> TopicKeys:
    """The keys of `topic`: `key`, one `{key}:class` a class, or one `{key:shard}` a shard.

    Of a topic with shards this is for reading along (tail, replay, dead letters): what takes,
    counts or writes uses `shard_keys`, whose helper keys are beside the shard's stream.
    """
    descending = tuple(sorted(topic.classes, reverse=True))
    if topic.shards > 1:
        streams = tuple(f"{{{topic.key}:{number}}}" for number in range(topic.shards))
    else:
        streams = tuple(f"{{{topic.key}}}:{number}" for number in descending) or (topic.key,)
    return TopicKeys(
        topic=topic.name,
        streams=streams,
        classes=descending or (None,) * len(streams),
        dead=topic.dead_key,
        tag=f"{{{topic.key}}}",
        groups=topic.groups,
        reserved=None if topic.reserved_class is None else 0,
    )


@lru_cache(maxsize=1024)
def shard_keys(topic: Topic[Any], shard: int) -> TopicKeys:
    """The keys of one shard: one stream, and helper keys with the same hash tag."""
    key = f"{{{topic.key}:{shard}}}"
    return TopicKeys(
        topic=topic.name,
        streams=(key,),
        classes=(None,),
        dead=topic.dead_key,
        tag=key,
        groups=topic.groups,
        first=shard,
    )


@lru_cache(maxsize=256)
def partitions_of(topic: Topic[Any]) -> tuple[TopicKeys, ...]:
    """The topic keys that one step of the server can work on: each shard, or the whole topic."""
    if topic.shards == 1:
        return (keys_of(topic),)
    return tuple(shard_keys(topic, shard) for shard in range(topic.shards))


def shard_of(key: str, shards: int) -> int:
    """The shard of a key: the same in every process and every version."""
    return zlib.crc32(key.encode()) % shards
