"""The alert rules: that they say what to do, are tested, and read what is there."""

import re
import shutil
import subprocess

import pytest
import yaml
from prometheus_client import REGISTRY

import streamdesk.runtime.metrics  # noqa: F401 - fills the registry
from tests.monitoring.rules import (
    CASES,
    COMMON,
    EXPORTER,
    ROOT,
    RULES,
    Rule,
    alerts,
    metrics_of,
    recorded,
    rules,
)

SEVERITIES = {"critical", "warning", "info"}
SECTIONS = ["## What it means", "## How to see it", "## What to do"]
FILES = sorted(file.name for file in RULES.glob("*.yaml"))


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (Debian: the package prometheus)")
    return subprocess.run([program, *words], capture_output=True, text=True, check=False)


def own_series() -> set[str]:
    """Names under which our processes expose their metrics."""
    names = set()
    for family in REGISTRY.collect():
        endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        names |= {family.name + ending for ending in endings.get(family.type, [""])}
    return names


@pytest.mark.parametrize("name", FILES)
def test_promtool_finds_nothing_wrong_with_the_rules(name: str) -> None:
    result = promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES / name))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", FILES)
def test_every_alert_fires_and_stays_silent_as_its_cases_say(name: str) -> None:
    result = promtool("test", "rules", str(CASES / name))
    assert result.returncode == 0, result.stdout + result.stderr


def cases_of(alert: Rule) -> list[dict[str, object]]:
    read = yaml.safe_load((CASES / alert.file.name).read_text())
    return [
        check
        for case in read["tests"]
        for check in case["promql_expr_test"]
        if re.search(rf"\b{alert.name}\b", check["expr"])
    ]


@pytest.mark.parametrize("alert", alerts(), ids=lambda rule: rule.name)
def test_every_alert_has_a_case_in_which_it_fires(alert: Rule) -> None:
    assert any(check["exp_samples"] for check in cases_of(alert))


@pytest.mark.parametrize("alert", alerts(), ids=lambda rule: rule.name)
def test_every_alert_has_a_case_in_which_it_stays_silent(alert: Rule) -> None:
    read = yaml.safe_load((CASES / alert.file.name).read_text())
    mine = [
        case
        for case in read["tests"]
        if any(alert.name in check["expr"] for check in case["promql_expr_test"])
    ]
    silent = [check for check in cases_of(alert) if not check["exp_samples"]]
    beside = [
        series
        for case in mine
        for series in case["input_series"]
        if 'namespace="good"' in series["series"]
    ]
    assert silent or beside


@pytest.mark.parametrize("alert", alerts(), ids=lambda rule: rule.name)
def test_every_alert_says_how_bad_it_is_and_what_is_wrong(alert: Rule) -> None:
    notes = alert.body["annotations"]
    assert alert.body["labels"]["severity"] in SEVERITIES
    assert set(notes) == {"summary", "description", "runbook_url"}
    assert len(notes["summary"]) <= 100
    assert notes["description"].endswith((".", "`."))


@pytest.mark.parametrize("alert", alerts(), ids=lambda rule: rule.name)
def test_every_alert_has_its_runbook(alert: Rule) -> None:
    page = ROOT / alert.body["annotations"]["runbook_url"]
    lines = page.read_text().splitlines()
    assert lines[0] == f"# {alert.name}"
    assert [line for line in lines if line.startswith("## ")] == SECTIONS


def test_every_runbook_belongs_to_an_alert() -> None:
    named = {alert.body["annotations"]["runbook_url"] for alert in alerts()}
    there = {str(page.relative_to(ROOT)) for page in (ROOT / "docs/runbooks").glob("*.md")}
    assert there == named


@pytest.mark.parametrize("rule", list(rules()), ids=lambda rule: rule.name)
def test_every_series_that_a_rule_reads_is_exposed_by_a_process(rule: Rule) -> None:
    assert rule.metrics - own_series() - EXPORTER - COMMON - recorded() == set()


def test_the_series_of_an_expression_are_found_whatever_surrounds_them() -> None:
    expression = """
      sum by (namespace, le) (rate(a_bucket{x="b_total", y=~"c|d"}[5m])) / on (namespace) e > 0
      and absent(f) or g:h:rate5m unless min_over_time(i[1h]) == 1
    """
    assert metrics_of(expression) == {"a_bucket", "e", "f", "g:h:rate5m", "i"}
