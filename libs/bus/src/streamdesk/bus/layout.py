"""Which Redis keys a topic uses."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from streamdesk.contracts.base import Topic


@dataclass(frozen=True, slots=True)
class Layout:
    """The keys of one topic.

    Args:
        topic: name of the topic.
        streams: keys of its streams, highest class first; one where there are no classes.
        classes: the class of each stream, None where there are none.
        dead: key of the dead letters.
        tag: prefix of helper keys; its hash tag puts them beside the streams in a cluster.
        groups: groups that must have every entry.
    """

    topic: str
    streams: tuple[str, ...]
    classes: tuple[int | None, ...]
    dead: str
    tag: str
    groups: tuple[str, ...]

    def delayed(self, group: str) -> str:
        """Sorted set of a group's messages that wait for their time."""
        return f"{self.tag}:delayed:{group}"

    def index_of(self, priority: int | None) -> int:
        """Position of a class's stream."""
        return self.classes.index(priority)

    def one_class_down(self, index: int) -> int:
        """Position of the next lower class's stream; the lowest stays where it is."""
        return min(index + 1, len(self.streams) - 1)


@lru_cache(maxsize=256)
def layout_of(topic: Topic[Any]) -> Layout:
    """The keys of `topic`: `key`, or one `{key}:class` a class."""
    descending = tuple(sorted(topic.classes, reverse=True))
    streams = tuple(f"{{{topic.key}}}:{number}" for number in descending) or (topic.key,)
    return Layout(
        topic=topic.name,
        streams=streams,
        classes=descending or (None,),
        dead=topic.dead_key,
        tag=f"{{{topic.key}}}",
        groups=topic.groups,
    )
