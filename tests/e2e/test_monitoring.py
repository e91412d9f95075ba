"""The small stack beside a running desk: it sees everything, and what it sees raises alerts."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from grafana.generate import documents
from tests.alert_relays import RELAY_TOKEN
from tests.dingtalk_server import SECRET
from tests.dingtalk_server import TOKEN as DINGTALK_TOKEN
from tests.e2e.desk import PYTHON, RELEASE, ROOT, SERVICES, Desk
from tests.e2e.kube import wait_until
from tests.monitoring.rules import EXPORTER, rules
from tests.monitoring.test_dashboards import panels, plain
from tests.monitoring.test_live import OF_TROUBLE

Tell = Callable[[str], None]
VALUES = str(Path(__file__).parent / "monitoring_values.yaml")
RULES = sorted((ROOT / "prometheus" / "rules").glob("*.yaml"))
PORTS = {"prometheus": 9090, "alertmanager": 9093}
REDIS_NODES = 3
# An alert waits two minutes before it fires, and a resolved one five before it is forgotten.
LONGEST_WAIT_SECONDS = 900
ALERT = "StreamHasNoConsumer"
ROBOT, ROBOT_PORT = "e2e-robot", 8080
RELAY = "alert-relay"
# This test sends no requests to the analysis service.
UNUSED = re.compile(f"{OF_TROUBLE.pattern}|analysis_request")


@pytest.fixture(scope="module")
def robot(desk: Desk) -> Iterator[Callable[[], list[dict[str, str]]]]:
    """The messages that a stand-in for DingTalk's robot received; it is a pod of its own."""
    source = (ROOT / "tests" / "dingtalk_server.py").read_text()
    words = ["--host", "0.0.0.0", "--port", str(ROBOT_PORT)]  # noqa: S104 - in a pod
    desk.outsider(ROBOT, [PYTHON, "-c", source, *words], {"app": ROBOT})
    address = desk.kube.get("pod", ROBOT)["status"]["podIP"]
    url = f"http://{address}:{ROBOT_PORT}/robot/send?access_token={DINGTALK_TOKEN}"
    keys = {"url": url, "signing-secret": SECRET, "token": RELAY_TOKEN}
    made = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": ROBOT}, "stringData": keys}
    desk.kube.run("apply", "--filename", "-", stdin=json.dumps(made))

    def taken() -> list[dict[str, str]]:
        return [json.loads(line) for line in desk.kube.run("logs", ROBOT).splitlines()]

    yield taken
    desk.kube.run("delete", "pod", ROBOT, "--wait=false")
    desk.kube.run("delete", "secret", ROBOT)


@pytest.fixture(scope="module")
def watched(desk: Desk, robot: Callable[[], list[dict[str, str]]]) -> Iterator[Desk]:
    """The desk with the small stack and the relay; afterwards without, sized by the operator."""
    assert robot() == []
    desk.upgrade("--values", VALUES)
    desk.wait_until_up()
    yield desk
    for component in ("order-executor", "operator"):
        scale(desk, component, 1)
    desk.upgrade()
    desk.wait_until_up()


def scale(desk: Desk, component: str, count: int) -> None:
    desk.kube.run("scale", "deployment", f"{RELEASE}-{component}", f"--replicas={count}")
    desk.kube.wait_ready(component, count)


@pytest.fixture
def asked(watched: Desk) -> Iterator[Callable[[str, str], Any]]:
    """What Prometheus or Alertmanager answers to a path."""
    with (
        watched.kube.forward(f"service/{RELEASE}-prometheus", PORTS["prometheus"]) as metrics,
        watched.kube.forward(f"service/{RELEASE}-alertmanager", PORTS["alertmanager"]) as alerts,
    ):
        local = {"prometheus": metrics, "alertmanager": alerts}

        def ask(name: str, path: str) -> Any:
            url = f"http://127.0.0.1:{local[name]}{path}"
            with urlopen(url, timeout=60) as answer:
                return json.load(answer)

        yield ask


def test_every_pod_of_the_desk_is_scraped_and_answers(
    watched: Desk, asked: Callable[[str, str], Any], tell: Tell
) -> None:
    components = (*SERVICES, *PORTS, RELAY)
    expected = {f"streamdesk-{name}": len(watched.kube.pods(name)) for name in components}
    # Each pod's server, and each pod's Sentinel.
    expected["streamdesk-redis-exporter"] = 2 * REDIS_NODES
    found: list[dict[str, Any]] = []

    def all_up() -> bool:
        found[:] = asked("prometheus", "/api/v1/targets?state=active")["data"]["activeTargets"]
        counts: dict[str, int] = {}
        for target in found:
            job = target["labels"]["job"]
            counts[job] = counts.get(job, 0) + (target["health"] == "up")
        return counts == expected and len(found) == sum(expected.values())

    shown = ("labels", "health", "lastError")
    wait_until(all_up, "an answer of all", lambda: str([[one[k] for k in shown] for one in found]))
    assert {target["labels"]["namespace"] for target in found} == {watched.kube.namespace}
    tell(f"{len(found)} targets, all up")


def test_redis_and_sentinels_are_seen_and_so_are_the_streams(
    asked: Callable[[str, str], Any],
) -> None:
    for query, least in (
        ("redis_up==1", 2 * REDIS_NODES),
        ("redis_sentinel_master_ckquorum_status==1", REDIS_NODES),
        ('redis_stream_group_lag{group="order-executors"}', 1),
        ("streamdesk_redis_masters", 1),
    ):
        text = query.replace("{", "%7B").replace("}", "%7D").replace('"', "%22")

        def enough(text: str = text, least: int = least) -> bool:
            result = asked("prometheus", f"/api/v1/query?query={text}")["data"]["result"]
            return len(result) >= least

        wait_until(enough, f"{least} results of {query}")


def test_every_rule_is_loaded_and_can_be_worked_out(asked: Callable[[str, str], Any]) -> None:
    expected = [
        rule.get("alert") or rule["record"]
        for file in RULES
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]

    def loaded() -> list[dict[str, Any]]:
        groups = asked("prometheus", "/api/v1/rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    wait_until(
        lambda: all(rule["health"] != "unknown" for rule in loaded()), "a look at every rule"
    )
    assert sorted(rule["name"] for rule in loaded()) == sorted(expected)
    assert [rule for rule in loaded() if rule["health"] != "ok"] == []


def test_what_rules_read_of_the_exporter_is_what_it_shows(asked: Callable[[str, str], Any]) -> None:
    wanted = {name for rule in rules() for name in rule.metrics} & EXPORTER

    def missing() -> set[str]:
        query = 'count by (__name__) ({job="streamdesk-redis-exporter"})'
        path = f"/api/v1/query?{urlencode({'query': query})}"
        shown = asked("prometheus", path)["data"]["result"]
        return wanted - {row["metric"]["__name__"] for row in shown}

    wait_until(lambda: not missing(), "each metric", lambda: str(missing()))


def test_every_panel_of_every_dashboard_has_data(asked: Callable[[str, str], Any]) -> None:
    def silent() -> list[str]:
        found = []
        for name, text in documents().items():
            for panel in panels(json.loads(text)):
                for target in panel["targets"]:
                    expression = target["expr"]
                    read = re.findall(r"([a-z][a-z0-9_]+)\{", expression)
                    if "offset" in expression or any(map(UNUSED.match, read)):
                        continue
                    path = f"/api/v1/query?{urlencode({'query': plain(expression)})}"
                    if not asked("prometheus", path)["data"]["result"]:
                        found.append(f"{name}: {panel['title']}: {expression}")
        return found

    wait_until(lambda: not silent(), "data for every panel", lambda: "\n".join(silent()))


def test_the_loss_of_the_executors_is_reported_to_people_and_their_return_too(
    watched: Desk,
    asked: Callable[[str, str], Any],
    robot: Callable[[], list[dict[str, str]]],
    tell: Tell,
) -> None:
    def titles() -> list[str]:
        return [message["title"] for message in robot() if ALERT in message["title"]]

    def alerts() -> list[dict[str, str]]:
        found = asked("alertmanager", "/api/v2/alerts?active=true")
        return [one["labels"] for one in found if one["labels"]["alertname"] == ALERT]

    def ours() -> list[dict[str, str]]:
        return [labels for labels in alerts() if labels["group"] == "order-executors"]

    def robot_said() -> str:
        return str([message["title"] for message in robot()])

    assert ours() == []
    scale(watched, "operator", 0)  # or it would bring an executor back
    scale(watched, "order-executor", 0)
    seconds = wait_until(lambda: bool(ours()), ALERT, lambda: str(alerts()), LONGEST_WAIT_SECONDS)
    [labels, *_] = ours()
    assert (labels["severity"], labels["topic"]) == ("critical", "signals")
    sent = wait_until(lambda: f"🔴 CRITICAL {ALERT}" in titles(), "the message", robot_said)
    scale(watched, "order-executor", 1)
    back = wait_until(
        lambda: not ours(), f"the end of {ALERT}", lambda: str(alerts()), LONGEST_WAIT_SECONDS
    )
    wait_until(lambda: titles()[-1] == f"✅ RESOLVED {ALERT}", "its end", robot_said)
    tell(
        f"{ALERT} at Alertmanager {seconds:.0f} s after the last executor, at the robot "
        f"{sent:.0f} s later; over {back:.0f} s after the next executor: {titles()}"
    )
