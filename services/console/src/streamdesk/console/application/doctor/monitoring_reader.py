"""Asks Prometheus, Alertmanager and the alert relay over HTTP."""

import asyncio
from collections.abc import Mapping
from typing import Any

from streamdesk.console.adapters.http_questions import Answer, get, shown
from streamdesk.console.application.doctor.monitoring import (
    NOT_FOUND,
    ProbeFacts,
    PrometheusFacts,
    RuleFacts,
    check_alertmanager,
    check_prometheus,
    check_relay,
)
from streamdesk.console.domain.finding import Finding

OK = 200


async def examine_monitoring(
    prometheus: str | None, alertmanager: str | None, relay: str | None
) -> list[Finding]:
    """The checks of those that are named; None where one is not."""
    facts, told, ready = await asyncio.gather(
        _prometheus(prometheus), _probe(alertmanager, "/-/ready"), _probe(relay, "/readyz")
    )
    webhook = None
    if relay is not None and ready is not None and ready.status == NOT_FOUND:
        webhook = await _probe(relay, "/webhook")
    return [*check_prometheus(facts), check_alertmanager(told, facts), check_relay(ready, webhook)]


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


def _wrong(base: str, answer: Answer) -> str:
    if answer.error:
        return answer.error
    body = answer.json()
    if answer.status != OK or not isinstance(body, dict) or body.get("status") != "success":
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
