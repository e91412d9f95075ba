"""The topics as a page for people: producers, consumers, and the meaning of every field."""

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic.json_schema import models_json_schema

from streamdesk.contracts.base import Event, JsonObject, Topic
from streamdesk.contracts.documents.wire_schema import WireSchema

HEAD = """\
<!-- Written by `make docs` from streamdesk.contracts.topics; do not edit. -->
# Data flow

All that passes between services passes over these topics, on Redis Streams, at least once.
`asyncapi.json` beside this page is the same for machines.
"""
BOUNDS = {
    "minimum": "≥",
    "exclusiveMinimum": ">",
    "maximum": "≤",
    "exclusiveMaximum": "<",
}


def data_flow(topics: Iterable[Topic[Any]]) -> str:
    """The page as Markdown.

    Args:
        topics: what travels, in the order of the page.
    """
    topics = tuple(topics)
    lines = [HEAD, *_table(topics), "", "## Flow", "", "```mermaid", *_diagram(topics), "```", ""]
    for topic in topics:
        lines += _details(topic)
    lines += _parts(topics)
    return "\n".join(lines).rstrip() + "\n"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _table(topics: Iterable[Topic[Any]]) -> Iterator[str]:
    yield "## Topics"
    yield ""
    yield _row("topic", "Redis key", "events", "mode, key", "producers", "consumers (group)")
    yield _row(*["---"] * 6)
    for topic in topics:
        readers = [
            f"{reader.service} (`{reader.group}`)" if reader.group else reader.service
            for reader in topic.consumers
        ]
        yield _row(
            f"[{topic.name}](#{topic.name})",
            f"`{topic.key}`",
            ", ".join(model.type_name() for model in topic.models),
            topic.mode + (f", {topic.key_field}" if topic.key_field else ""),
            ", ".join(topic.producers),
            ", ".join(readers),
        )
    yield ""
    yield "A consumer with a group shares the topic with its replicas, and each entry is handled"
    yield "until it is acknowledged or dead. One without a group sees everything and owes nothing."


def _node(service: str) -> str:
    return service.replace("-", "_")


def _diagram(topics: tuple[Topic[Any], ...]) -> Iterator[str]:
    yield "flowchart LR"
    services: dict[str, None] = {}
    for topic in topics:
        services |= dict.fromkeys(topic.producers)
        services |= dict.fromkeys(reader.service for reader in topic.consumers)
    yield from (f"    {_node(service)}[{service}]" for service in services)
    for topic in topics:
        yield f'    t_{topic.name}(["{topic.key}"])'
        yield from (f"    {_node(producer)} --> t_{topic.name}" for producer in topic.producers)
        for reader in topic.consumers:
            arrow = f"-->|{reader.group}|" if reader.group else "-.->"
            yield f"    t_{topic.name} {arrow} {_node(reader.service)}"


def _details(topic: Topic[Any]) -> Iterator[str]:
    yield f"## {topic.name}"
    yield ""
    yield f"{topic.about} Key `{topic.key}`, dead letters `{topic.dead_key}`."
    if topic.classes:
        yield (
            f"One stream a class of `{topic.class_field}`, `{{{topic.key}}}:{topic.classes[0]}` to "
            f"`{{{topic.key}}}:{topic.classes[-1]}`; the highest is taken first."
        )
    if topic.reserved_class is not None:
        yield (
            f"`{{{topic.key}}}:{topic.reserved_class}` has room of its own: see the limits below. "
            "A retry in it stays in it; any other retry goes one class down."
        )
    if topic.shards > 1:
        yield (
            f"{topic.shards} shards by `{topic.key_field}`, `{{{topic.key}:0}}` to "
            f"`{{{topic.key}:{topic.shards - 1}}}`; in order inside a shard."
        )
    yield limits(topic)
    yield ""
    for model in topic.models:
        yield f"### {model.type_name()}"
        yield ""
        yield f"{_sentence(model)} Version {model.version}."
        yield ""
        schema = model.model_json_schema(mode="serialization", schema_generator=WireSchema)
        yield from _fields(schema)


def limits(topic: Topic[Any]) -> str:
    """How long entries stay, and when a publish is refused or ignored, in sentences."""
    if topic.groups:
        kept = f"The newest {topic.keep:,} entries stay when every group has finished them."
        bounds = [f"at {topic.hard_cap:,} entries of a stream"]
        if topic.max_backlog:
            bounds.insert(0, f"above {topic.max_backlog:,} unfinished events of a group")
        sentences = [kept, f"Publishing is refused {' and '.join(bounds)}."]
        if topic.displaces:
            sentences.append(
                "Rather than refuse an event, a group gives up an unread one of a lower class, the "
                "oldest of the lowest first: it goes to the dead letters as `queue-full`."
            )
        if topic.max_backlog and topic.reserved_class is not None:
            most = topic.limit_of(topic.reserved_class)
            sentences.append(f"Events of class {topic.reserved_class} are taken up to {most:,}.")
    else:
        sentences = [f"About the newest {topic.keep:,} entries of a stream stay."]
    if topic.dedup_window_seconds is not None:
        sentences.append(
            f"An event id that comes again within {topic.dedup_window_seconds:,g} s is ignored."
        )
    if topic.durable:
        sentences.append("A publish waits for replicas, where the bus is configured to.")
    return " ".join(sentences)


def _sentence(model: type[Event]) -> str:
    return " ".join((model.__doc__ or "").split())


def _parts(topics: tuple[Topic[Any], ...]) -> Iterator[str]:
    """Objects and enumerations that the events are made of."""
    models = list(dict.fromkeys(model for topic in topics for model in topic.models))
    _, schema = models_json_schema(
        [(model, "serialization") for model in models], schema_generator=WireSchema
    )
    events = {model.type_name() for model in models}
    yield "## Parts"
    yield ""
    for name, part in schema["$defs"].items():
        if name in events:
            continue
        yield f"### {name}"
        yield ""
        yield part.get("description", "")
        yield ""
        if "enum" in part:
            yield f"One of {_code(part['enum'])}."
            yield ""
        else:
            yield from _fields(part)


def _fields(schema: JsonObject) -> Iterator[str]:
    definitions: JsonObject = schema.get("$defs", {})
    yield _row("field", "type", "meaning")
    yield _row(*["---"] * 3)
    for name, field in schema["properties"].items():
        referred = definitions.get(str(field.get("$ref", "")).rpartition("/")[2], {})
        meaning = field.get("description") or referred.get("description", "")
        yield _row(f"`{name}`", _type(field), " ".join(meaning.split()))
    yield ""


def _type(schema: JsonObject) -> str:
    """A short description of a JSON schema, with its bounds."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(choice) for choice in schema["anyOf"])
    kind: str = schema.get("format") or schema["type"]
    if "enum" in schema:
        return f"one of {_code(schema['enum'])}"
    if kind == "array":
        return f"list of {_type(schema['items'])}"
    if kind == "object":
        return f"{_type(schema['additionalProperties'])} by name"
    bounds = [f"{sign} {schema[word]}" for word, sign in BOUNDS.items() if word in schema]
    return f"{kind} {', '.join(bounds)}".rstrip()
