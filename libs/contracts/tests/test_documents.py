import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streamdesk.contracts.documents import asyncapi, data_flow
from streamdesk.contracts.topics import BY_NAME, TOPICS

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = asyncapi(TOPICS)


def run(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streamdesk.contracts.documents", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [ref for value in node.values() for ref in references(value)]
    if isinstance(node, list):
        return [ref for value in node for ref in references(value)]
    return []


def resolve(reference: str) -> Any:
    node: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


def test_the_documents_in_the_repository_are_what_the_topics_say() -> None:
    done = run("--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_document_that_drifted_is_named_in_one_line(tmp_path: Path) -> None:
    assert run("--folder", "docs", folder=tmp_path).returncode == 0
    assert run("--check", folder=tmp_path).returncode == 0
    with (tmp_path / "docs/data-flow.md").open("a") as page:
        page.write("An afterthought.\n")
    done = run("--check", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "not what topics.py says: docs/data-flow.md; run `make docs`\n"
    (tmp_path / "docs/asyncapi.json").unlink()
    assert "docs/asyncapi.json" in run("--check", folder=tmp_path).stderr


def test_every_reference_in_the_asyncapi_document_leads_somewhere() -> None:
    found = references(DOCUMENT)
    assert found
    for reference in found:
        assert resolve(reference)


def test_the_asyncapi_document_has_the_shape_of_version_3() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert set(DOCUMENT) == {
        "asyncapi", "info", "defaultContentType", "channels", "operations", "components",
    }  # fmt: skip
    assert set(DOCUMENT["channels"]) == {topic.name for topic in TOPICS}
    name = re.compile(r"^[A-Za-z0-9._-]+$")
    for section in (DOCUMENT["channels"], DOCUMENT["operations"], *DOCUMENT["components"].values()):
        assert all(name.match(key) for key in section)
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in {"send", "receive"}
        assert resolve(operation["channel"]["$ref"])["messages"]


def test_every_producer_and_consumer_is_an_operation() -> None:
    expected = {f"{p}-sends-{topic.name}" for topic in TOPICS for p in topic.producers} | {
        f"{c.service}-receives-{topic.name}" for topic in TOPICS for c in topic.consumers
    }
    assert set(DOCUMENT["operations"]) == expected


def test_braces_in_an_address_are_parameters_only() -> None:
    for channel in DOCUMENT["channels"].values():
        named = set(re.findall(r"\{(.*?)\}", channel["address"]))
        assert named == set(channel.get("parameters", {}))
    streams = DOCUMENT["channels"]["signals"]["parameters"]["stream"]["enum"]
    assert streams[:2] == ["{trading:signals}:110", "{trading:signals}:100"]
    assert len(streams) == 12


@pytest.mark.parametrize("name", DOCUMENT["components"]["messages"])
def test_a_message_has_headers_a_payload_and_an_example_of_its_required_fields(name: str) -> None:
    message = DOCUMENT["components"]["messages"][name]
    own = message["headers"]["allOf"][1]["properties"]
    assert own["t"] == {"const": name}
    payload = resolve(message["payload"]["$ref"])
    assert set(message["examples"][0]["payload"]) <= set(payload["properties"])
    envelope = resolve("#/components/schemas/Envelope")
    assert {"t", "v", "k", "id", "tp", "at", "b"} <= set(envelope["properties"])


def test_the_page_names_every_topic_event_and_field() -> None:
    page = data_flow(TOPICS)
    for topic in TOPICS:
        assert f"## {topic.name}\n" in page
        assert f"`{topic.key}`" in page
        for model in topic.models:
            assert f"### {model.type_name()}\n" in page
            assert all(f"| `{field}` |" in page for field in model.model_fields)


def test_the_documents_say_how_long_entries_stay_and_when_a_publish_is_refused() -> None:
    topic = replace(
        BY_NAME["news_raw"], max_backlog=500, dedup_window_seconds=2.5, durable=True, shards=2
    )
    page, description = data_flow([topic]), asyncapi([topic])["channels"][topic.name]
    for text in (
        "The newest 10,000 entries stay when every group has finished them.",
        "refused above 500 unfinished events of a group and at 1,000,000 entries of a stream",
        "An event id that comes again within 2.5 s is ignored.",
        "A publish waits for replicas, where the bus is configured to.",
    ):
        assert text in page
        assert text in description["description"]
    assert f"2 shards by `{topic.key_field}`" in page
    shards = [f"{{{topic.key}:0}}", f"{{{topic.key}:1}}"]
    assert description["parameters"]["stream"]["enum"] == shards


def test_every_link_inside_the_page_has_its_heading() -> None:
    page = data_flow(TOPICS)
    headings = {line.lstrip("# ").lower() for line in page.splitlines() if line.startswith("#")}
    assert set(re.findall(r"\]\(#(.*?)\)", page)) <= headings


def test_no_field_of_the_page_is_without_a_meaning() -> None:
    rows = [line for line in data_flow(TOPICS).splitlines() if line.startswith("| `")]
    assert [row for row in rows if row.endswith("|  |")] == []


def test_what_is_on_the_wire_is_what_the_schema_says() -> None:
    example = json.dumps(DOCUMENT["components"]["messages"]["OrderFilled"]["examples"][0])
    assert '"price": "271.80"' in example
    price = DOCUMENT["components"]["schemas"]["OrderFilled"]["properties"]["price"]
    assert (price["type"], price["format"]) == ("string", "decimal")
