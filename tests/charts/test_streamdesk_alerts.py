"""The alert relay in the chart: off by default, and what it needs when it is on."""

import os
from typing import Any

import pytest
import yaml

from tests.charts.redis_sentinel_chart import Object, refusal
from tests.charts.streamdesk_chart import CHART, ROOT, deployment, env, external, policy, reached

ON = {"alertRelay__enabled": True, "alertRelay__existingSecret": "dingtalk"}
RELAY = "alert-relay"
GOLDEN = ROOT / "tests" / "charts" / "goldens" / f"{RELAY}.yaml"


@pytest.fixture(scope="module")
def objects() -> list[Object]:
    return external(**ON)


def component(objects: list[Object]) -> list[Object]:
    label = "app.kubernetes.io/component"
    return [each for each in objects if each["metadata"]["labels"][label] == RELAY]


def test_the_alert_relay_is_off_by_default() -> None:
    assert component(external()) == []


def test_without_a_secret_helm_says_what_to_set() -> None:
    assert "alertRelay.existingSecret" in refusal(CHART, {"alertRelay.enabled": True})


def test_secret_variables_come_only_from_the_secret(objects: list[Object]) -> None:
    def source(name: str) -> Any:
        return env(objects, RELAY)[name]["valueFrom"]["secretKeyRef"]

    assert source("DINGTALK_URL") == {"name": "dingtalk", "key": "url"}
    assert source("ALERT_RELAY_TOKEN") == {"name": "dingtalk", "key": "token"}
    # A robot that asks for a keyword or an address instead has no signing secret.
    signing = {"name": "dingtalk", "key": "signing-secret", "optional": True}
    assert source("DINGTALK_SECRET") == signing


def test_it_reaches_redis_and_public_addresses_over_https(objects: list[Object]) -> None:
    assert ("outside", 443) in reached(objects, RELAY)
    private = [
        rule["ipBlock"]["except"]
        for each in policy(objects, RELAY)["egress"]
        for rule in each.get("to", [])
        if "ipBlock" in rule
    ]
    assert any("10.0.0.0/8" in blocks for blocks in private)


def test_only_an_alertmanager_reaches_the_webhook(objects: list[Object]) -> None:
    (peers,) = [
        rule["from"]
        for rule in policy(objects, RELAY)["ingress"]
        if rule["ports"] == [{"port": 8060, "protocol": "TCP"}]
    ]
    labels = {"app.kubernetes.io/name": "alertmanager"}
    assert peers == [{"namespaceSelector": {}, "podSelector": {"matchLabels": labels}}]


def test_replicas_may_run_side_by_side(objects: list[Object]) -> None:
    assert deployment(objects, RELAY)["spec"]["strategy"]["type"] == "RollingUpdate"


def test_the_relay_looks_as_it_did() -> None:
    """`make charts ARGS=--write` writes the file again: read the difference before you commit."""
    found = [
        each for each in component(external(image__tag="1.2.3", **ON)) if each["kind"] != "Pod"
    ]
    text = yaml.safe_dump_all(found)
    if os.environ.get("GOLDENS") == "write":
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()
