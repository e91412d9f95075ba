"""The desk and a real Prometheus: everything that rules and dashboards read exists."""

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from urllib.request import urlopen

import pytest

from grafana.generate import documents
from tests.monitoring.prometheus_server import Prometheus, prometheus
from tests.monitoring.rules import COMMON, EXPORTER, RULES, alerts, recorded, rules
from tests.monitoring.test_dashboards import panels, plain

Start = Callable[..., Any]

# Exposed by the operator, which a desk on one machine does not have.
# Nor does it have a relay, unless a robot is configured.
ELSEWHERE = re.compile(r"^(executorpool_|operator_|streamdesk_redis_|alert_relay_)")
# Missing on a healthy desk: a counter with labels appears with its first count.
OF_TROUBLE = re.compile(
    r"^(streams_(dead_letters_total|retries|cap_reached|groups_recreated|publishes_refused"
    r"|tail_undecodable)"
    r"|news_(articles_invalid|fetch_failure|quota|circuit|rules_loaded|sentiment_cache|duplicates)"
    r"|scheduler_missed_slots|gw_dropped|gw_disconnect|fills|hama_compute_failures|bars_refused)"
)
# An overloaded machine may be slow, and its executor may rightly refuse signals.
OF_PACE = {
    "EventLoopSlow",
    "ExecutorRefusesEverything",
    "GatewayDeliverySlow",
    "GatewayDrops",
    "NewsLate",
}
BOARDS = ("desk", "streams", "news", "gateway", "services")


def scraped(desk: Any) -> dict[str, list[int]]:
    """The metrics ports of the desk's processes by job."""
    ports: dict[str, list[int]] = {}
    for service in desk.state()["services"]:
        if service["name"] != "redis":
            job = re.sub(r"-\d+$", "", f"streamdesk-{service['name']}")
            ports.setdefault(job, []).append(service["port"])
    return ports


def ask(url: str) -> None:
    with urlopen(url, timeout=60) as answer:  # noqa: S310 - a service of the desk
        assert answer.status == HTTPStatus.OK


def excused(metric: str) -> bool:
    return bool(
        metric in EXPORTER | recorded() or ELSEWHERE.match(metric) or OF_TROUBLE.match(metric)
    )


def test_what_rules_and_dashboards_read_is_in_the_scrapes_of_a_running_desk(
    up: Start, tmp_path: Path, any_port: int
) -> None:
    desk = up("--executors", "2")
    desk.wait_until_up()
    files = sorted(RULES.glob("*.yaml"))
    with prometheus(tmp_path, any_port, scraped(desk), files) as server:
        # A trade has been through every service, and every rule has been evaluated.
        server.wait_for("sum(fills_total) > 0 and sum(rate(fills_total[1m])) >= 0")
        server.wait_for('gw_events_total{event="OrderFilled"}')
        server.wait_for("sum(increase(scheduler_fires_total[1m])) >= 0")
        server.wait_for("sum(rate(news_end_to_end_seconds_count[1m])) > 0")
        ask(urljoin(desk.state()["analysis"], "/api/gainer-analysis/cache-stats"))
        server.wait_for("sum(rate(analysis_requests_total[1m])) >= 0")
        missing = {
            name
            for rule in rules()
            for name in rule.metrics - COMMON
            if not excused(name) and not server.query(f"count({name})")
        }
        assert missing == set()
        broken = [
            (rule["name"], rule["lastError"])
            for group in server.api("rules")["groups"]
            for rule in group["rules"]
            if rule.get("lastError")
        ]
        assert broken == []
        assert silent_panels(server) == []
        assert false_alarms(server) == {}


def silent_panels(server: Prometheus) -> list[str]:
    """Panels with a query that returns no data, without a known reason."""
    found = []
    for name in BOARDS:
        for panel in panels(json.loads(documents()[f"{name}.json"])):
            for target in panel["targets"]:
                names = set(re.findall(r"([a-z][a-z0-9_]+)\{", target["expr"]))
                if any(excused(metric) for metric in names) or "$__range" in target["expr"]:
                    continue
                if not server.query(plain(target["expr"])):
                    found.append(f"{name}: {panel['title']}: {target['expr']}")
    return found


def false_alarms(server: Prometheus) -> dict[str, Any]:
    """Pending or firing alerts of a healthy desk, except those about its speed."""
    found = {rule.name: server.query(rule.body["expr"]) for rule in alerts()}
    return {name: rows for name, rows in found.items() if rows and name not in OF_PACE}


@pytest.mark.parametrize("name", BOARDS)
def test_each_of_these_dashboards_exists(name: str) -> None:
    assert f"{name}.json" in documents()
