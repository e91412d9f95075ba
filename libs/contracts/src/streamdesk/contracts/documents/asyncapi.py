"""The topics as an AsyncAPI 3.0 document (https://www.asyncapi.com/docs/reference/specification)."""

from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import models_json_schema

from streamdesk.contracts.base import Event, JsonObject, Topic
from streamdesk.contracts.documents.data_flow import limits
from streamdesk.contracts.documents.wire_schema import WireSchema

ENVELOPE: JsonObject = {
    "type": "object",
    "description": "Fields of the stream entry; the body `b` is the message's payload.",
    "required": ["t", "v", "id", "at", "b"],
    "properties": {
        "t": {"type": "string", "description": "Type of the event."},
        "v": {"type": "string", "pattern": "^[0-9]+$", "description": "Version of the type."},
        "k": {"type": "string", "description": "What it is about, as a symbol; may be empty."},
        "id": {
            "type": "string",
            "format": "uuid",
            "description": "Event id, a UUIDv7; the same at every retry.",
        },
        "tp": {"type": "string", "description": "W3C traceparent; absent without tracing."},
        "at": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "When it was first published, in ms since 1970.",
        },
        "n": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "On a frame: how many payloads the JSON array in `b` holds.",
        },
        "b": {
            "type": "string",
            "contentMediaType": "application/json",
            "description": "The payload in JSON; on a frame an array of payloads.",
        },
    },
}


def asyncapi(topics: Iterable[Topic[Any]]) -> JsonObject:
    """The document as a JSON object.

    Args:
        topics: what travels, in the order of the document.
    """
    topics = tuple(topics)
    models = list(dict.fromkeys(model for topic in topics for model in topic.models))
    _, schema = models_json_schema(
        [(model, "serialization") for model in models],
        ref_template="#/components/schemas/{model}",
        schema_generator=WireSchema,
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Streamdesk",
            "version": "1.0.0",
            "description": "What travels between the services, on Redis Streams. Generated from "
            "streamdesk.contracts.topics; delivered at least once.",
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in topics},
        "operations": {name: body for topic in topics for name, body in _operations(topic)},
        "components": {
            "schemas": {"Envelope": ENVELOPE, **schema["$defs"]},
            "messages": {model.type_name(): _message(model) for model in models},
        },
    }


def _channel(topic: Topic[Any]) -> JsonObject:
    channel: JsonObject = {
        "address": topic.key,
        "title": topic.key,
        "summary": topic.about,
        "description": _description(topic),
        "messages": {
            model.type_name(): {"$ref": f"#/components/messages/{model.type_name()}"}
            for model in topic.models
        },
    }
    # Braces in an address mean a parameter, so a key that has some is one as a whole.
    if topic.classes:
        streams = [f"{{{topic.key}}}:{number}" for number in reversed(topic.classes)]
        channel["address"] = "{stream}"
        channel["parameters"] = {
            "stream": {"enum": streams, "description": "Stream of a class, highest first."}
        }
    if topic.shards > 1:
        streams = [f"{{{topic.key}:{number}}}" for number in range(topic.shards)]
        channel["address"] = "{stream}"
        channel["parameters"] = {
            "stream": {"enum": streams, "description": f"Shard of a `{topic.key_field}`."}
        }
    return channel


def _description(topic: Topic[Any]) -> str:
    how = "One event a stream entry." if topic.mode == "entry" else "Up to 500 events an entry."
    keyed = f" Keyed by `{topic.key_field}`." if topic.key_field else ""
    return f"{how}{keyed} {limits(topic)} Dead letters: `{topic.dead_key}`."


def _operations(topic: Topic[Any]) -> Iterable[tuple[str, JsonObject]]:
    channel = {"$ref": f"#/channels/{topic.name}"}
    for producer in topic.producers:
        summary = f"{producer} writes {topic.name}"
        yield (
            f"{producer}-sends-{topic.name}",
            {"action": "send", "channel": channel, "summary": summary},
        )
    for consumer in topic.consumers:
        manner = f"as group {consumer.group}" if consumer.group else "without a group, all of it"
        summary = f"{consumer.service} reads {topic.name} {manner}"
        yield (
            f"{consumer.service}-receives-{topic.name}",
            {"action": "receive", "channel": channel, "summary": summary},
        )


def _message(model: type[Event]) -> JsonObject:
    name = model.type_name()
    # Checked by a test: every model has an example, and it validates.
    examples = model.model_json_schema()["examples"]
    return {
        "name": name,
        "title": f"{name}, version {model.version}",
        "summary": " ".join((model.__doc__ or "").split()),
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "allOf": [
                {"$ref": "#/components/schemas/Envelope"},
                {"properties": {"t": {"const": name}, "v": {"const": str(model.version)}}},
            ],
        },
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "examples": [{"name": f"example-{i}", "payload": e} for i, e in enumerate(examples, 1)],
    }
