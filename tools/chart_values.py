"""Write what follows from the comments in a chart's values.yaml, or check that it is up to date.

`values.schema.json` and the table of values in README.md, of the chart streamdesk and of its
subchart monitoring. A comment that begins with `# --` describes the key below it; a map with such a
comment is one row, whatever is in it. `# @schema {…}` adds to the schema what the default does not
say. Names of settings come from the services' own `config.py`, so that a mistyped one is refused.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from streamdesk.runtime import ServiceSettings
from tools.services import in_cluster

CHART = Path(__file__).resolve().parent.parent / "charts" / "streamdesk"
BEGIN, END = "<!-- values -->\n", "<!-- /values -->"
SERVICES = {service.section: service.package for service in in_cluster()}
MONITORING = CHART / "charts" / "monitoring"
SUBCHARTS = ("redis", "postgres", "monitoring")
# What the chart itself decides: ports, names, and everything that comes from a secret.
TAKEN = {"GATEWAY_HOST", "GATEWAY_PORT", "GRACE_SECONDS", "INSTANCE", "METRICS_HOST"} | {
    *("METRICS_PORT", "REDIS_HOST", "REDIS_PORT", "REDIS_DB", "WATCH_NAMESPACE", "LEASE_NAME"),
    *("POD_NAME", "LEDGER_URL", "PAPER_BROKER_URL"),
    *("ANALYSIS_HOST", "ANALYSIS_PORT", "BAR_STORE_FOLDER"),
    *("ALERT_RELAY_HOST", "ALERT_RELAY_PORT"),
}
# The same, of one service: what follows from values of their own.
TAKEN_OF = {
    "newsFetcher": {
        *("NEWS_SOURCE", "NEWS_TICKERS", "NEWS_INTERVAL_SECONDS"),
        *("NEWS_RECORDING", "EODHD_URL"),
    },
    "newsFilter": {"NEWS_RULES_FILE", "SENTIMENT_SCORER", "FINBERT_FOLDER"},
}
OTHERS = "^(OTEL|DEV)_[A-Z_]+$"  # read by libraries, and by the developer's loop
TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array"}
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Value:
    """One documented key.

    Attributes:
        path: the keys that lead to it.
        default: its value in values.yaml.
        text: what it means.
        extra: what `@schema` says.
    """

    path: tuple[str, ...]
    default: object
    text: str
    extra: Json


def comment_above(lines: list[str], line: int) -> list[str]:
    """The comment lines directly above a line, without their `#`, from `--` on."""
    found: list[str] = []
    while line > 0 and lines[line - 1].lstrip().startswith("#"):
        line -= 1
        found.insert(0, lines[line].lstrip().removeprefix("#").strip())
    starts = [number for number, text in enumerate(found) if text.startswith("-- ")]
    return found[starts[-1] :] if starts else []


def values_of(text: str) -> Iterator[Value]:
    """Every documented key, in the file's order.

    Raises:
        SystemExit: a key that has no comment.
    """
    lines = text.splitlines()
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode), "values.yaml is a map"  # noqa: S101 - for mypy

    def walk(node: yaml.MappingNode, path: tuple[str, ...]) -> Iterator[Value]:
        for key, value in node.value:
            here = (*path, key.value)
            comment = comment_above(lines, key.start_mark.line)
            if comment:
                yield _value(here, value, comment)
            elif isinstance(value, yaml.MappingNode) and value.value:
                yield from walk(value, here)
            else:
                sys.exit(f"values.yaml:{key.start_mark.line + 1}: {key.value} has no `# --` above")

    yield from walk(root, ())


def _value(path: tuple[str, ...], node: yaml.Node, comment: list[str]) -> Value:
    words = [text for text in comment if not text.startswith("@schema ")]
    extra: Json = {}
    for text in comment:
        if text.startswith("@schema "):
            extra |= json.loads(text.removeprefix("@schema "))
    default = yaml.safe_load(yaml.serialize(node))
    return Value(path, default, " ".join(words).removeprefix("-- "), extra)


def schema_of(value: Value) -> Json:
    """The schema of one key."""
    kind = TYPES.get(type(value.default), "object")
    return {"type": kind, "description": value.text} | value.extra


def nest(tree: Json, path: tuple[str, ...], schema: Json) -> None:
    """Put a key's schema where it belongs; maps on the way refuse other keys."""
    for key in path[:-1]:
        closed = {"type": "object", "additionalProperties": False, "properties": {}}
        tree = tree["properties"].setdefault(key, closed)
    tree["properties"][path[-1]] = schema


def settings_of(section: str) -> list[str]:
    """Names of the settings that may stand in a service's ConfigMap."""
    module = importlib.import_module(f"streamdesk.{SERVICES[section]}.config")
    taken = TAKEN | TAKEN_OF.get(section, set())
    return [
        name.upper()
        for name, field in sorted(module.Settings.model_fields.items())
        if name.upper() not in taken and "Secret" not in str(field.annotation)
    ]


def settings_schema(names: list[str]) -> Json:
    """A map of settings that refuses names which no service reads."""
    setting = {"$ref": "#/definitions/setting"}
    return {
        "type": "object",
        "additionalProperties": False,
        "patternProperties": {OTHERS: setting},
        "properties": dict.fromkeys(names, setting),
    }


def words_schema() -> Json:
    """What an article must have one of, and what it must not have."""
    words = {"type": "array", "items": {"type": "string"}}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {"include": words, "exclude": words},
    }


def schema(values: list[Value]) -> Json:
    """The schema of all values."""
    tree: Json = {"properties": {}}
    for value in values:
        if (
            value.path[0] in SERVICES
            and value.path[1] in tree["properties"]["defaults"]["properties"]
        ):
            continue  # the service's own default for what `defaults` describes
        nest(tree, value.path, schema_of(value))
    service = tree["properties"]["defaults"]
    known = {section: settings_of(section) for section in SERVICES}
    for section, names in known.items():
        own = tree["properties"][section]["properties"]
        for key in service["properties"]:
            own[key] = {"$ref": f"#/definitions/service/properties/{key}"}
        own["settings"] = settings_schema(names)
    common = {name.upper() for name in ServiceSettings.model_fields}
    service["properties"]["settings"] = settings_schema(
        sorted(common.intersection(*known.values()))
    )
    tree["properties"]["defaults"] = {"$ref": "#/definitions/service"}
    for name in SUBCHARTS:
        tree["properties"][name]["additionalProperties"] = True  # their own schemas refuse
    setting = {"type": ["string", "number", "boolean", "array", "object"]}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart streamdesk",
        "type": "object",
        "additionalProperties": False,
        "properties": {"global": {"type": "object"}} | tree["properties"],
        "definitions": {"service": service, "setting": setting, "words": words_schema()},
    }


def plain_schema(values: list[Value]) -> Json:
    """The schema of a subchart without services."""
    tree: Json = {"properties": {"global": {"type": "object"}}}
    for value in values:
        nest(tree, value.path, schema_of(value))
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart monitoring",
        "type": "object",
        "additionalProperties": False,
        "properties": tree["properties"],
    }


def table(values: list[Value]) -> str:
    """The values as a Markdown table."""
    rows = ["| value | default | |", "|---|---|---|"]
    for value in values:
        default = json.dumps(value.default).replace("|", "\\|")
        text = value.text.replace("|", "\\|")
        rows.append(f"| `{'.'.join(value.path)}` | `{default}` | {text} |")
    return "\n".join(rows) + "\n"


def written(chart: Path, schema_for: Callable[[list[Value]], Json]) -> dict[Path, str]:
    """What a chart's generated files should say, by path."""
    values = list(values_of((chart / "values.yaml").read_text(encoding="utf-8")))
    readme = chart / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    return {
        chart / "values.schema.json": json.dumps(schema_for(values), indent=1) + "\n",
        readme: f"{before}{BEGIN}{table(values)}{END}{after}",
    }


def main() -> None:
    """Write the files, or with --check say which of them are out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what is out of date")
    check = parser.parse_args().check
    files = written(CHART, schema) | written(MONITORING, plain_schema)
    for path, text in files.items():
        current = path.read_text(encoding="utf-8") if path.exists() else ""
        if check and current != text:
            sys.exit(f"{path} does not fit its values.yaml: make charts ARGS=--write")
        if not check:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
