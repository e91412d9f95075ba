"""The rules as data, for the tests: alerts, their expressions, and the metrics in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "prometheus" / "rules"
CASES = ROOT / "prometheus" / "tests"

# Of redis_exporter: docs of its repository, and a scrape of it.
EXPORTER = frozenset({
    "redis_aof_last_bgrewrite_status",
    "redis_aof_last_write_status",
    "redis_commands_processed_total",
    "redis_connected_clients",
    "redis_connected_slaves",
    "redis_instance_info",
    "redis_memory_max_bytes",
    "redis_memory_used_bytes",
    "redis_net_output_bytes_total",
    "redis_sentinel_master_ckquorum_status",
    "redis_sentinel_master_ok_sentinels",
    "redis_sentinel_master_ok_slaves",
    "redis_sentinel_master_status",
    "redis_stream_group_consumer_idle_seconds",
    "redis_stream_group_lag",
    "redis_stream_group_messages_pending",
    "redis_stream_length",
    "redis_up",
})  # fmt: skip
# Of Prometheus itself, and of every Python process.
COMMON = frozenset({"up", "process_start_time_seconds"})

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')
_MATCHERS = re.compile(r"\{[^}]*\}")
_GROUPINGS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_WORD = re.compile(r"(?<![\w:.])[a-zA-Z_:][\w:]*(?!\s*\()(?![\w:])")
_KEYWORDS = frozenset({"and", "or", "unless", "bool", "by", "on", "offset"})
_DURATION = re.compile(r"\[[^\]]*\]")


@dataclass(frozen=True)
class Rule:
    """One rule of a file: an alert, or (without annotations) a recorded series."""

    file: Path
    name: str
    body: dict[str, Any]

    @property
    def metrics(self) -> set[str]:
        """Names of all series that its expression reads."""
        return metrics_of(self.body["expr"])


def metrics_of(expression: str) -> set[str]:
    """Names of all series in a PromQL expression; no parser, but enough for ours."""
    text = _STRINGS.sub('""', expression)
    for noise in (_MATCHERS, _DURATION, _GROUPINGS):
        text = noise.sub(" ", text)
    return {word for word in _WORD.findall(text) if word not in _KEYWORDS}


def rules() -> Iterator[Rule]:
    """All rules of all files."""
    for file in sorted(RULES.glob("*.yaml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            for body in group["rules"]:
                yield Rule(file, body.get("alert") or body["record"], body)


def alerts() -> list[Rule]:
    """All alerts."""
    return [rule for rule in rules() if "alert" in rule.body]


def recorded() -> set[str]:
    """Names of all recorded series."""
    return {rule.name for rule in rules() if "record" in rule.body}
