"""The chart `monitoring`, rendered: dashboards, alerts, scrapes, and the small stack."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.monitoring_chart import (
    BOTH,
    MONITORING,
    STACK,
    WATCHED,
    check,
    configuration,
    targets_of,
    watched,
    without_discovery,
)
from tests.charts.redis_sentinel_chart import Object, one, refusal, run_helm
from tests.charts.streamdesk_chart import CHART, RELEASE, ROOT

DASHBOARDS = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
RULES = sorted((ROOT / "prometheus" / "rules").glob("*.yaml"))
GROUPS = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
RELAY = {"monitoring.alertmanager.relay.existingSecret": "dingtalk"}
DASHBOARD = re.compile("-dashboard-")
OPERATORS = ("PodMonitor", "PrometheusRule")


def services(objects: list[Object]) -> list[str]:
    """Components of the desk's Deployments."""
    labels = [item["metadata"]["labels"] for item in objects if item["kind"] == "Deployment"]
    ours = [item for item in labels if item["app.kubernetes.io/name"] == "streamdesk"]
    assert ours
    return [item["app.kubernetes.io/component"] for item in ours]


def kinds(objects: list[Object]) -> set[str]:
    return {item["kind"] for item in objects}


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_is_the_file_of_grafana(file: Path) -> None:
    found = one(watched(), "ConfigMap", f"{RELEASE}-dashboard-{file.stem}")
    assert found["data"] == {file.name: file.read_text()}
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["annotations"] == {"grafana_folder": "Streamdesk"}


def test_every_dashboard_comes_and_what_marks_them_can_be_set() -> None:
    marks = {"label": "board", "labelValue": "yes", "folderAnnotation": "dir", "folder": "Desk"}
    found = [
        item
        for item in watched({"monitoring.dashboards": marks})
        if DASHBOARD.search(item["metadata"]["name"])
    ]
    assert len(found) == len(DASHBOARDS) > 0
    for item in found:
        assert item["metadata"]["labels"]["board"] == "yes"
        assert item["metadata"]["annotations"] == {"dir": "Desk"}


def test_the_defaults_need_no_definition_and_no_image() -> None:
    assert not kinds(watched()).intersection(OPERATORS)
    ours = run_helm("template", RELEASE, str(MONITORING)).stdout
    assert {item["kind"] for item in yaml.safe_load_all(ours) if item} == {"ConfigMap"}
    off = watched({"monitoring.enabled": False})
    assert not [item for item in off if DASHBOARD.search(item["metadata"]["name"])]


@pytest.mark.parametrize(
    ("section", "kind"), [("podMonitor", OPERATORS[0]), ("rules", OPERATORS[1])]
)
def test_objects_of_the_prometheus_operator_are_created_where_known_or_always(
    section: str, kind: str
) -> None:
    name = f"monitoring.{section}.create"
    assert kind in kinds(watched({}, *BOTH))
    assert kind not in kinds(watched({name: "never"}, *BOTH))
    assert kind in kinds(watched({name: "always"}))


def test_an_operator_finds_them_by_labels_of_the_users() -> None:
    labels = {"release": "prometheus"}
    values = {
        f"monitoring.{section}.additionalLabels": labels for section in ("podMonitor", "rules")
    }
    objects = watched(values, *BOTH)
    for kind in OPERATORS:
        found = one(objects, kind, f"{RELEASE}-streamdesk")["metadata"]["labels"]
        assert labels.items() <= found.items()


def test_the_alerts_are_those_of_prometheus_wherever_they_go() -> None:
    objects = watched(STACK, *BOTH)
    assert one(objects, "PrometheusRule", f"{RELEASE}-streamdesk")["spec"]["groups"] == GROUPS
    data = one(objects, "ConfigMap", f"{RELEASE}-prometheus")["data"]
    assert yaml.safe_load(data["rules.yml"]) == {"groups": GROUPS}


def test_runbooks_get_the_address_at_which_people_read_them() -> None:
    base = "https://git.example.com/desk/blob/main"
    for given in (base, f"{base}/"):
        objects = watched({"monitoring.runbooks.baseUrl": given}, *BOTH)
        groups = one(objects, "PrometheusRule", f"{RELEASE}-streamdesk")["spec"]["groups"]
        for mine, group in zip(groups, GROUPS, strict=True):
            for rule, before in zip(mine["rules"], group["rules"], strict=True):
                if "alert" in rule:
                    path = before["annotations"]["runbook_url"]
                    assert rule["annotations"]["runbook_url"] == f"{base}/{path}"
                assert rule["expr"] == before["expr"]


def test_an_alert_can_be_left_out_but_not_one_that_does_not_exist() -> None:
    objects = watched({"monitoring.rules.exclude": ["TradingHalted"]}, *BOTH)
    rule = one(objects, "PrometheusRule", f"{RELEASE}-streamdesk")
    assert "TradingHalted" not in str(rule)
    assert "TradingBlocked" in str(rule)
    output = refusal(CHART, {"monitoring.rules.exclude": ["TradingHalt"]})
    assert 'no alert "TradingHalt"' in output


def test_a_pod_monitor_scrapes_as_the_small_prometheus_does() -> None:
    objects = watched(STACK, *BOTH)
    spec = one(objects, "PodMonitor", f"{RELEASE}-streamdesk")["spec"]
    jobs = configuration(objects, "prometheus")["scrape_configs"]
    for endpoint, job in zip(spec["podMetricsEndpoints"], jobs, strict=True):
        text = json.dumps(endpoint["relabelings"])
        written = json.loads(
            text.replace("sourceLabels", "source_labels").replace("targetLabel", "target_label")
        )
        assert written == job["relabel_configs"][-len(written) :]
        assert endpoint["honorLabels"] is job["honor_labels"] is True
        assert endpoint.get("path") == job.get("metrics_path")


@pytest.mark.parametrize("values", [{}, RELAY], ids=["alone", "relay"])
def test_promtool_and_amtool_find_nothing_wrong(values: dict[str, Any], tmp_path: Path) -> None:
    objects = watched(STACK | values)
    config = without_discovery(objects) | {"rule_files": [str(tmp_path / "rules.yml")]}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    data = one(objects, "ConfigMap", f"{RELEASE}-prometheus")["data"]
    (tmp_path / "rules.yml").write_text(data["rules.yml"])
    output = check("promtool", "check", "config", str(tmp_path / "prometheus.yml"))
    assert f"{sum(len(group['rules']) for group in GROUPS)} rules found" in output
    data = one(objects, "ConfigMap", f"{RELEASE}-alertmanager")["data"]
    (tmp_path / "alertmanager.yml").write_text(data["alertmanager.yml"])
    check("amtool", "check-config", str(tmp_path / "alertmanager.yml"))


def test_kube_score_finds_nothing_in_the_small_stack(tmp_path: Path) -> None:
    file = tmp_path / "objects.yaml"
    file.write_text(yaml.safe_dump_all(watched(WATCHED)))
    check("kube-score", "score", "--output-format", "ci", "--exit-one-on-warning", str(file))


def test_a_real_prometheus_names_what_it_scrapes_as_rules_and_dashboards_expect(
    tmp_path: Path,
) -> None:
    objects = watched(STACK)
    targets = targets_of(objects, tmp_path)
    found = {(item["labels"]["job"], item["labels"]["instance"]) for item in targets}
    expected = {(f"streamdesk-{name}", f"{RELEASE}-{name}") for name in services(objects)}
    expected |= {
        (f"streamdesk-{name}", f"{RELEASE}-{name}") for name in ("alertmanager", "grafana")
    }
    expected |= {("streamdesk-prometheus", f"{RELEASE}-prometheus")}
    redis = "streamdesk-redis-exporter"
    expected |= {(redis, f"{RELEASE}-redis"), (redis, f"{RELEASE}-redis-sentinel")}
    assert found == expected
    assert {item["labels"]["namespace"] for item in targets} == {"trading"}
    (sentinel,) = (item for item in targets if item["labels"]["instance"].endswith("-sentinel"))
    assert "/scrape?target=redis%3A%2F%2F127.0.0.1%3A26379" in sentinel["scrapeUrl"]


def test_alerts_go_to_the_relay_with_its_token_once_it_is_named() -> None:
    assert configuration(watched(STACK), "alertmanager")["receivers"] == [{"name": "nobody"}]
    objects = watched(STACK | RELAY)
    config = configuration(objects, "alertmanager")
    [receiver] = config["receivers"]
    [webhook] = receiver["webhook_configs"]
    assert config["route"]["receiver"] == receiver["name"]
    assert webhook["url"] == f"http://{RELEASE}-alert-relay:8060/webhook"
    assert webhook["send_resolved"] is True
    pod = one(objects, "Deployment", f"{RELEASE}-alertmanager")["spec"]["template"]["spec"]
    (secret,) = (item["secret"] for item in pod["volumes"] if item["name"] == "relay")
    assert secret == {"secretName": "dingtalk", "items": [{"key": "token", "path": "token"}]}
    (mount,) = (m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "relay")
    file = webhook["http_config"]["authorization"]["credentials_file"]
    assert file == f"{mount['mountPath']}/token"
    targets = configuration(objects, "prometheus")["alerting"]["alertmanagers"]
    assert targets == [{"static_configs": [{"targets": [f"{RELEASE}-alertmanager:9093"]}]}]


def egress(objects: list[Object], name: str) -> set[tuple[str, int]]:
    """Allowed destinations, by labels without the release's, and their ports, without DNS."""
    found = set()
    for rule in one(objects, "NetworkPolicy", f"{RELEASE}-{name}")["spec"]["egress"]:
        for peer in rule.get("to", [{}]):
            labels = dict(peer.get("podSelector", {}).get("matchLabels", {"": "anywhere"}))
            labels.pop("app.kubernetes.io/instance", None)
            whom = ",".join(labels.values()) or "release"
            found |= {(whom, port["port"]) for port in rule["ports"] if port["port"] != 53}
    return found


def test_the_network_policies_allow_the_small_stack_what_it_needs_and_no_more() -> None:
    objects = watched(STACK | RELAY)
    ports = {9464, 9121, 9090, 9093, 3000}
    api = {("anywhere", 443), ("anywhere", 6443)}
    assert egress(objects, "prometheus") == {("release", port) for port in ports} | api
    assert egress(objects, "alertmanager") == {("alert-relay", 8060)}
    assert egress(objects, "grafana") == {("prometheus", 9090)}
    assert egress(watched(STACK), "alertmanager") == set()


def test_every_service_and_redis_allow_the_small_prometheus() -> None:
    objects = watched(STACK)
    pod = one(objects, "Deployment", f"{RELEASE}-prometheus")["spec"]["template"]["metadata"]
    assert pod["labels"]["app.kubernetes.io/name"] == "prometheus"
    for name, port in [*((name, 9464) for name in services(objects)), ("redis", "metrics")]:
        rules = one(objects, "NetworkPolicy", f"{RELEASE}-{name}")["spec"]["ingress"]
        (rule,) = (rule for rule in rules if port in [item["port"] for item in rule["ports"]])
        [peer] = rule["from"]
        assert peer["podSelector"]["matchLabels"].items() <= pod["labels"].items()
        assert peer["namespaceSelector"] == {}


def test_prometheus_may_list_pods_of_its_namespace_and_nothing_else() -> None:
    objects = watched(STACK)
    [rule] = one(objects, "Role", f"{RELEASE}-prometheus")["rules"]
    assert rule == {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
    for name in ("alertmanager", "grafana"):
        pod = one(objects, "Deployment", f"{RELEASE}-{name}")["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False


def test_grafana_has_every_dashboard_and_the_data_source() -> None:
    objects = watched(STACK)
    data = one(objects, "ConfigMap", f"{RELEASE}-grafana")["data"]
    [source] = yaml.safe_load(data["datasources.yaml"])["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", f"http://{RELEASE}-prometheus:9090")
    pod = one(objects, "Deployment", f"{RELEASE}-grafana")["spec"]["template"]["spec"]
    (boards,) = (item for item in pod["volumes"] if item["name"] == "dashboards")
    named = {item["configMap"]["name"] for item in boards["projected"]["sources"]}
    assert named == {f"{RELEASE}-dashboard-{file.stem}" for file in DASHBOARDS}
    assert named <= {item["metadata"]["name"] for item in objects if item["kind"] == "ConfigMap"}
    mounts = {item["name"]: item["mountPath"] for item in pod["containers"][0]["volumeMounts"]}
    [provider] = yaml.safe_load(data["dashboards.yaml"])["providers"]
    assert provider["options"]["path"] == mounts["dashboards"]


def test_grafana_without_a_prometheus_is_refused() -> None:
    alone = {"monitoring.grafana.enabled": True}
    assert "grafana.prometheusUrl" in refusal(CHART, alone)
    assert watched(alone | {"monitoring.grafana.prometheusUrl": "http://mine:9090"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("monitoring.prometheus.replicas", 2),
        ("monitoring.podMonitor.create", "sometimes"),
        ("monitoring.runbooks.baseUrl", "git.example.com"),
        ("monitoring.alertmanager.relay.token", "in a ConfigMap"),
        ("monitoring.grafana.image.digest", "latest"),
    ],
)
def test_a_value_that_does_nothing_or_harm_is_refused(name: str, value: object) -> None:
    assert name.rpartition(".")[2] in refusal(CHART, {name: value})


def test_a_package_holds_the_files_that_the_chart_links_to(tmp_path: Path) -> None:
    assert run_helm("package", str(CHART), "--destination", str(tmp_path)).returncode == 0
    [package] = tmp_path.glob("*.tgz")
    objects = watched(STACK, *BOTH, chart=package)
    assert one(objects, "PrometheusRule", f"{RELEASE}-streamdesk")["spec"]["groups"] == GROUPS
    for file in DASHBOARDS:
        found = one(objects, "ConfigMap", f"{RELEASE}-dashboard-{file.stem}")
        assert found["data"] == {file.name: file.read_text()}


def test_the_small_stack_looks_as_it_did() -> None:
    """`make charts ARGS=--write` writes the file again: read the difference before you commit."""
    found = [
        item
        for item in watched(STACK | RELAY, "--api-versions", "monitoring.coreos.com/v1/PodMonitor")
        if item["metadata"]["labels"]["app.kubernetes.io/component"]
        in ("prometheus", "alertmanager", "grafana", "monitoring")
        and not DASHBOARD.search(item["metadata"]["name"])
    ]
    for item in found:
        item.get("data", {}).pop("rules.yml", None)  # compared with the files elsewhere
    text = re.sub("(checksum/config|admin-password): .*", r"\1: changes", yaml.safe_dump_all(found))
    golden = Path(__file__).parent / "goldens" / "monitoring.yaml"
    if os.environ.get("GOLDENS") == "write":
        golden.write_text(text)
    assert text == golden.read_text()
