"""Write or check docs/metrics.md: every metric, with its unit and meaning.

`metrics_page.py` writes the page from libs/runtime's metrics.py, `metrics_page.py --check` fails
when it is not what the registry says, or when a metric has no unit.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import Gauge
from prometheus_client.metrics import MetricWrapperBase

from streamdesk.runtime import metrics
from streamdesk.runtime.fading import FadingGauge

PAGE = Path(__file__).resolve().parent.parent / "docs" / "metrics.md"
HEAD = """\
<!-- Written by `make docs`; do not edit. -->
# Metrics

What `/metrics` of each process shows, besides the usual `process_*` and `python_*`. The rules that
read them are in [prometheus/](../prometheus/), the pages for the alerts in [runbooks/](runbooks/).
A histogram has the series `_bucket`, `_sum` and `_count`. A gauge marked with * vanishes when it is
not measured any more: every process that consumes shows its groups' figures, so take `max`.
"""
SECTION = re.compile(r"^# -- (?P<name>[^:]+): (?P<by>.+?) -+$")
DEFINED = re.compile(r"^(?P<name>[A-Z][A-Z0-9_]+) = (?:Counter|Gauge|Histogram|Info|FadingGauge)\(")
# Units by the end of the name; what has none of these counts something, named here.
SUFFIXES = {
    "_timestamp_seconds": "Unix time, s",
    "_seconds": "s",
    "_latency": "s",
    "_bytes": "bytes",
    "_usd": "USD",
    "_calls": "calls",
    "_score": "0 to 100",
    "_percent": "%",
}
COUNTED = {
    "streams_lag": "entries",
    "streams_delayed": "messages",
    "streams_active_consumers": "consumers",
    "streams_dead_letters_waiting": "letters",
    "redis_stream_length": "entries",
    "redis_consumer_lag": "entries",
    "redis_pending_messages": "entries",
    "outbox_backlog": "events",
    "positions_open": "positions",
    "entry_locks": "locks",
    "ledger_discrepancies": "figures",
    "orders_contradicted": "orders",
    "external_trades_open": "trades",
    "broker_discrepancies": "figures",
    "alert_relay_groups_waiting": "groups",
    "gw_connections": "sockets",
    "executorpool_replicas": "replicas",
    "executorpool_ready_replicas": "replicas",
    "executorpool_desired_replicas": "replicas",
    "executorpool_unread": "entries",
    "executorpool_pending": "entries",
    "streamdesk_redis_masters": "servers",
}

Metric = MetricWrapperBase | FadingGauge


def in_order() -> Iterator[tuple[str, str, Metric]]:
    """Section, who shows it, and the metric, in the order of metrics.py."""
    name = by = ""
    for line in Path(metrics.__file__).read_text(encoding="utf-8").splitlines():
        if section := SECTION.match(line):
            name, by = section["name"], section["by"]
        elif defined := DEFINED.match(line):
            yield name, by, getattr(metrics, defined["name"])


def kind_of(metric: Metric) -> str:
    """Its type, in a word."""
    if isinstance(metric, FadingGauge):
        return "gauge*"
    return "gauge" if isinstance(metric, Gauge) else type(metric).__name__.lower()


def unit_of(name: str, kind: str, meaning: str) -> str:
    """What a value of it counts.

    Raises:
        ValueError: the unit is unknown.
    """
    for suffix, unit in SUFFIXES.items():
        if name.removesuffix("_total").endswith(suffix):
            return unit
    if name in COUNTED:
        return COUNTED[name]
    if kind == "counter":
        return "times" if meaning.startswith("Times") else "count"
    if kind == "info":
        return "none"
    if meaning.startswith("1 while") or " 1 while" in meaning:
        return "0 or 1"
    raise ValueError(f"{name}: end its name in a unit, or name what it counts in {Path(__file__)}")


def page() -> str:
    """The whole page."""
    parts, last = [HEAD], ""
    for section, by, metric in in_order():
        if section != last:
            last = section
            services = re.sub(r"services/([a-z-]+)", r"[\1](../services/\1/README.md)", by)
            parts.append(f"\n## {_capital(section)}\n\n{_capital(services)}.\n")
            parts.append("\n| metric | type | unit | meaning |\n|---|---|---|---|\n")
        parts.append(row(metric))
    return "".join(parts)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def row(metric: Metric) -> str:
    """One metric."""
    family = next(iter(metric.describe()))
    kind = kind_of(metric)
    name = family.name + {"counter": "_total", "info": "_info"}.get(kind, "")
    labels = metric._labels if isinstance(metric, FadingGauge) else metric._labelnames  # noqa: SLF001 - they tell it nowhere else
    shown = f"{name}{{{','.join(labels)}}}" if labels else name
    meaning = family.documentation
    return f"| `{shown}` | {kind} | {unit_of(name, kind, meaning)} | {meaning} |\n"


def main() -> None:
    """Read the arguments and do it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail on drift")
    options = parser.parse_args()
    text = page()
    if not options.check:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        sys.exit(f"{PAGE.name} is not what metrics.py says; run `make docs`")


if __name__ == "__main__":
    main()
