"""Monitoring: Prometheus, its rules and targets, Alertmanager, the relay, over HTTP."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streamdesk.console.adapters.http_questions import HttpAnswer, get, shown
from streamdesk.console.domain.finding import (
    Finding,
    failed,
    merged,
    not_applicable,
    ok,
    unknown,
    warning,
)

RULE_GROUPS = (
    "alert-relay", "gateway", "news", "operator", "redis", "redis-streams", "schedules", "services",
    "trading",
)  # fmt: skip
"""The groups in prometheus/rules."""

OK_STATUS, NOT_FOUND, METHOD_NOT_ALLOWED = 200, 404, 405
FIRST = 5
"""Names that are shown; the rest is counted."""


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """One alert rule as Prometheus has it.

    Args:
        group: its group's name.
        name: of the alert.
        error: what its last evaluation failed with; empty when it did not.
        firing: whether it fires.
        severity: its label.
    """

    group: str
    name: str
    error: str = ""
    firing: bool = False
    severity: str = ""


@dataclass(frozen=True, slots=True)
class PrometheusFacts:
    """What Prometheus answers.

    Args:
        error: why it answered nothing; empty otherwise.
        groups: names of its rule groups.
        rules: its alert rules.
        targets: how many it scrapes.
        down: those that are down, with why.
        alertmanagers: how many it sends alerts to.
    """

    error: str = ""
    groups: frozenset[str] = frozenset()
    rules: tuple[RuleFacts, ...] = ()
    targets: int = 0
    down: tuple[str, ...] = ()
    alertmanagers: int = 0


@dataclass(frozen=True, slots=True)
class ProbeFacts:
    """An HTTP answer.

    Args:
        status: its code; 0 for none.
        error: why there was none.
        not_because: what /readyz says no to.
    """

    status: int = 0
    error: str = ""
    not_because: tuple[str, ...] = ()


def check_prometheus(facts: PrometheusFacts | None) -> list[Finding]:
    """Prometheus, its rules, targets and alerts; None where no PROMETHEUS_URL is given."""
    names = ("prometheus", "rules", "targets", "alerts")
    if facts is None:
        why = "PROMETHEUS_URL is not set"
        return [not_applicable(f"monitoring.{name}", why) for name in names]
    if facts.error:
        advice = "start Prometheus, or correct PROMETHEUS_URL"
        rest = [
            unknown(f"monitoring.{n}", "no Prometheus", "see monitoring.prometheus")
            for n in names[1:]
        ]
        return [failed("monitoring.prometheus", facts.error, advice), *rest]
    first = ok("monitoring.prometheus", "answers")
    return [first, _rules(facts), _targets(facts), _alerts(facts)]


def _rules(facts: PrometheusFacts) -> Finding:
    check = "monitoring.rules"
    missing = [name for name in RULE_GROUPS if name not in facts.groups]
    problems: list[Finding] = []
    if missing:
        advice = "let rule_files name prometheus/rules/*.yaml and reload Prometheus"
        found = "no rules are loaded" if not facts.groups else f"missing: {', '.join(missing)}"
        problems.append(failed(check, found, advice))
    problems += [
        failed(check, f"{rule.name}: {rule.error}", "`promtool check rules` on its file")
        for rule in facts.rules
        if rule.error
    ]
    return merged(check, problems, f"{len(facts.rules)} alerts in {len(facts.groups)} groups")


def _targets(facts: PrometheusFacts) -> Finding:
    check = "monitoring.targets"
    if not facts.targets:
        advice = "name the services' probes in scrape_configs; in a cluster install ServiceMonitors"
        return failed(check, "Prometheus scrapes nothing", advice)
    problems = [
        failed(check, f"down: {text}", "start it, or take it out of scrape_configs")
        for text in facts.down[:FIRST]
    ]
    if len(facts.down) > FIRST:
        problems.append(failed(check, f"and {len(facts.down) - FIRST} more", ""))
    return merged(check, problems, f"{facts.targets} of {facts.targets} are up")


def _alerts(facts: PrometheusFacts) -> Finding:
    check = "monitoring.alerts"
    ours = [rule for rule in facts.rules if rule.firing and rule.group in RULE_GROUPS]
    problems = []
    for severity, finding in (("critical", failed), ("warning", warning)):
        names = sorted({rule.name for rule in ours if rule.severity == severity})
        if names:
            found = f"{severity}: {', '.join(names)}"
            problems.append(finding(check, found, "each has a page in docs/runbooks"))
    return merged(check, problems, "none fires")


def check_alertmanager(probe: ProbeFacts | None, prometheus: PrometheusFacts | None) -> Finding:
    """Whether alerts are taken.

    Args:
        probe: of ALERTMANAGER_URL; None when it is not set.
        prometheus: of PROMETHEUS_URL; None when it is not set.
    """
    check = "monitoring.alertmanager"
    problems: list[Finding] = []
    if probe is not None and probe.status != OK_STATUS:
        advice = "start Alertmanager, or correct ALERTMANAGER_URL"
        problems.append(failed(check, _said(probe), advice))
    # An Alertmanager that is ready is of no use if no Prometheus sends it alerts.
    if prometheus is not None and not prometheus.error and not prometheus.alertmanagers:
        found = "Prometheus knows no Alertmanager: no alert is delivered"
        problems.append(warning(check, found, "name one under `alerting` in its configuration"))
    # Without a probe, Prometheus alone can say whether there is one.
    if probe is None and not problems:
        if prometheus is not None and prometheus.alertmanagers:
            return ok(check, f"Prometheus sends alerts to {prometheus.alertmanagers}")
        return not_applicable(check, "ALERTMANAGER_URL is not set")
    return merged(check, problems, "ready")


def check_relay(probe: ProbeFacts | None, webhook: ProbeFacts | None = None) -> Finding:
    """Whether alerts reach people.

    Args:
        probe: /readyz of ALERT_RELAY_URL; None when it is not set.
        webhook: /webhook there, asked where /readyz is not found: the two have a port each.
    """
    check = "monitoring.relay"
    if probe is None:
        return not_applicable(check, "ALERT_RELAY_URL is not set")
    if probe.status == OK_STATUS:
        return ok(check, "ready")
    if probe.status == NOT_FOUND and webhook is not None and webhook.status == METHOD_NOT_ALLOWED:
        return ok(check, "its webhook answers")
    if probe.not_because:
        found = f"not ready: {', '.join(probe.not_because)}"
        return failed(check, found, "read the relay's log")
    return failed(check, _said(probe), "start the alert relay, or correct ALERT_RELAY_URL")


def _said(probe: ProbeFacts) -> str:
    return probe.error or f"answers with HTTP {probe.status}"


async def examine_monitoring(
    prometheus: str | None, alertmanager: str | None, relay: str | None
) -> list[Finding]:
    """The checks of those that are named; None where one is not."""
    facts, alertmanager_ready, ready = await asyncio.gather(
        _prometheus(prometheus), _probe(alertmanager, "/-/ready"), _probe(relay, "/readyz")
    )
    webhook = None
    if relay is not None and ready is not None and ready.status == NOT_FOUND:
        webhook = await _probe(relay, "/webhook")
    return [
        *check_prometheus(facts),
        check_alertmanager(alertmanager_ready, facts),
        check_relay(ready, webhook),
    ]


async def _probe(base: str | None, path: str) -> ProbeFacts | None:
    if base is None:
        return None
    answer = await get(base, path)
    body = answer.json()
    checks = body.get("checks", {}) if isinstance(body, dict) else {}
    why = tuple(str(name) for name, value in checks.items() if value is not True)
    return ProbeFacts(answer.status, answer.error, why)


async def _prometheus(base: str | None) -> PrometheusFacts | None:
    if base is None:
        return None
    rules, targets, managers = await asyncio.gather(
        get(base, "/api/v1/rules"),
        get(base, "/api/v1/targets", {"state": "active"}),
        get(base, "/api/v1/alertmanagers"),
    )
    # One reason is enough: the three questions go to the same server.
    problem = next(
        (wrong for one in (rules, targets, managers) if (wrong := _wrong(base, one))), ""
    )
    if problem:
        return PrometheusFacts(error=problem)
    groups = rules.json()["data"]["groups"]
    active = targets.json()["data"]["activeTargets"]
    return PrometheusFacts(
        groups=frozenset(group["name"] for group in groups),
        rules=tuple(
            _rule(group["name"], rule)
            for group in groups
            for rule in group["rules"]
            if rule.get("type") == "alerting"
        ),
        targets=len(active),
        down=tuple(_target(one) for one in active if one.get("health") == "down"),
        alertmanagers=len(managers.json()["data"].get("activeAlertmanagers") or []),
    )


def _wrong(base: str, answer: HttpAnswer) -> str:
    if answer.error:
        return answer.error
    body = answer.json()
    if answer.status != OK_STATUS or not isinstance(body, dict) or body.get("status") != "success":
        return f"{shown(base)} answers with HTTP {answer.status}, and not as Prometheus does"
    return ""


def _rule(group: str, rule: Mapping[str, Any]) -> RuleFacts:
    return RuleFacts(
        group=group,
        name=str(rule.get("name", "")),
        error=str(rule.get("lastError", "")) if rule.get("health") == "err" else "",
        firing=rule.get("state") == "firing",
        severity=str(rule.get("labels", {}).get("severity", "")),
    )


def _target(target: Mapping[str, Any]) -> str:
    labels = target.get("labels", {})
    name = f"{labels.get('job', '?')} {labels.get('instance', '?')}"
    return f"{name} ({target.get('lastError') or 'no reason given'})"
