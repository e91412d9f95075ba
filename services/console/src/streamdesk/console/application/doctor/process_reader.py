"""Asks processes how they are: over their probes, or Prometheus for all that it scrapes."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from streamdesk.console.adapters.http_questions import Answer, get, shown
from streamdesk.console.application.doctor.processes import ProcessFacts, check_processes
from streamdesk.console.domain.finding import Finding
from streamdesk.console.domain.services import LOOPBACK
from streamdesk.console.domain.state import DeskState, ServiceState

INFO, READY = "streamdesk_info", "streamdesk_ready"
BLOCKED, HALTED = "trading_blocked", "trading_halted"
DISCREPANCIES = ("ledger_discrepancies", "broker_discrepancies")
SERIES = (INFO, READY, BLOCKED, HALTED, *DISCREPANCIES)
SERVER = "redis"
"""The desk's own server among its processes: it has no probes."""

OK = 200


@dataclass(frozen=True, slots=True)
class Series:
    """What one process says of itself: figures by name, and labels of `streamdesk_info`."""

    figures: Mapping[str, float]
    info: Mapping[str, str]


async def examine_processes(
    state: DeskState | None, services: Sequence[str], prometheus: str | None
) -> list[Finding]:
    """The checks of all processes that we know of.

    Args:
        state: of the desk that runs here; None without one.
        services: addresses of probes.
        prometheus: its address; asked where there is neither of the two.
    """
    rows = [row for row in (state.services if state else ()) if row.name != SERVER]
    asked = [_of_desk(row) for row in rows] + [_process(url, shown(url)) for url in services]
    facts = list(await asyncio.gather(*asked))
    if not facts and prometheus is not None:
        facts = await _scraped(prometheus)
    return check_processes(facts)


async def _of_desk(row: ServiceState) -> ProcessFacts:
    told: dict[str, Any] = {"restarts": row.restarts, "log": row.log}
    if row.state != "running":
        return ProcessFacts(row.name, error="ended, and waits for its restart", **told)
    if row.port is None:
        return ProcessFacts(row.name, error="has not started yet", **told)
    return await _process(f"http://{LOOPBACK}:{row.port}", row.name, **told)


async def _process(url: str, name: str, **told: Any) -> ProcessFacts:  # noqa: ANN401 - as the facts
    ready, page = await asyncio.gather(get(url, "/readyz"), get(url, "/metrics"))
    error = ready.error or page.error
    body = ready.json()
    if not error and (page.status != OK or not isinstance(body, dict)):
        error = f"{shown(url)} has no /readyz and /metrics: is it the address of its probes?"
    if error:
        return ProcessFacts(name, error=error, **told)
    checks = body.get("checks", {})
    not_because = tuple(str(key) for key, value in checks.items() if value is not True)
    if body.get("draining"):
        not_because += ("it is stopping",)
    facts = _facts(name, _series_of(page.body.decode(errors="replace")), told)
    more = {"not_because": not_because, "ready": ready.status == OK, "clock_seconds": _clock(page)}
    return _with(facts, more)


def _with(facts: ProcessFacts, more: Mapping[str, Any]) -> ProcessFacts:
    fields = {name: getattr(facts, name) for name in ProcessFacts.__slots__}
    return ProcessFacts(**(fields | dict(more)))


def _clock(page: Answer) -> float | None:
    """How far the sender's clock is ahead; None when it does not say."""
    try:
        return parsedate_to_datetime(page.headers["date"]).timestamp() - time.time()
    except (KeyError, ValueError):
        return None


def _series_of(text: str) -> Series:
    figures: dict[str, float] = {}
    info: dict[str, str] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == INFO:
                    info = dict(sample.labels)
                elif sample.name in SERIES:
                    figures[sample.name] = sample.value
    except ValueError:  # not a page of ours: nothing is known of it
        return Series({}, {})
    return Series(figures, info)


def _facts(name: str, series: Series, told: Mapping[str, Any]) -> ProcessFacts:
    figures = series.figures
    # Every process of ours has every gauge; only an executor's says anything.
    trades = series.info.get("service") == "order-executor" and BLOCKED in figures
    return ProcessFacts(
        name=name,
        ready=bool(figures[READY]) if READY in figures else None,
        version=series.info.get("version", ""),
        blocked=bool(figures[BLOCKED]) if trades else None,
        halted=bool(figures.get(HALTED, 0)) if trades else None,
        discrepancies=int(sum(figures.get(each, 0) for each in DISCREPANCIES)) if trades else 0,
        **told,
    )


async def _scraped(prometheus: str) -> list[ProcessFacts]:
    """All processes that Prometheus scrapes; none when it does not answer: others say so."""
    question = {"query": f'{{__name__=~"{"|".join(SERIES)}"}}'}
    body = (await get(prometheus, "/api/v1/query", question)).json()
    if not isinstance(body, dict) or body.get("status") != "success":
        return []
    by_target: dict[str, Series] = {}
    for row in body["data"]["result"]:
        labels: dict[str, str] = row["metric"]
        target = " ".join(labels.get(name, "") for name in ("job", "instance")).strip()
        series = by_target.setdefault(target, Series({}, {}))
        if labels["__name__"] == INFO:
            # A label of the process that the target has as well is renamed by Prometheus.
            own = {
                name: str(labels.get(f"exported_{name}") or labels.get(name, ""))
                for name in ("service", "version")
            }
            by_target[target] = Series(series.figures, own)
        else:
            figures = {**series.figures, labels["__name__"]: float(row["value"][1])}
            by_target[target] = Series(figures, series.info)
    return [_facts(target, series, {}) for target, series in sorted(by_target.items())]
