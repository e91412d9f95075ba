"""The processes: ready, stable, of one version, in time, and trading.

They are asked over their probes, or Prometheus is for all that it scrapes.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from streamdesk.console.adapters.http_questions import HttpAnswer, get, shown
from streamdesk.console.domain.finding import (
    Finding,
    failed,
    merged,
    not_applicable,
    unknown,
    warning,
)
from streamdesk.console.domain.services import LOOPBACK
from streamdesk.console.domain.state import DeskState, ServiceState

CLOCK_SECONDS = 3.0
"""An HTTP date has whole seconds, and is up to a second old."""

NO_SERVICE = (
    "no service is known: `streamdesk up` runs none here; --service names one by its probes' "
    "address, PROMETHEUS_URL knows all that it scrapes"
)
INFO, READY = "streamdesk_info", "streamdesk_ready"
BLOCKED, STOPPED = "trading_blocked", ("trading_halted", "trading_reducing")
DISCREPANCIES = ("ledger_discrepancies", "broker_discrepancies")
SERIES = (INFO, READY, BLOCKED, *STOPPED, *DISCREPANCIES)
SERVER = "redis"
"""The desk's own server among its processes: it has no probes."""

OK = 200


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """One process of a service, as its probes or Prometheus report it.

    Args:
        name: for people.
        error: why nothing is known of it; empty otherwise.
        ready: what /readyz says; None when it was not asked.
        not_because: names of the checks of /readyz that fail.
        version: of its service.
        clock_seconds: how far its clock is ahead of ours; None when it is not known.
        blocked: no signal is decided; None for what is no executor.
        halted: the kill switch is on; None as before.
        discrepancies: figures of the ledger that contradict its fills or the broker.
        restarts: how often `up` started it again; None when `up` does not run it.
        log: where its log is; empty when that is not known.
    """

    name: str
    error: str = ""
    ready: bool | None = None
    not_because: tuple[str, ...] = ()
    version: str = ""
    clock_seconds: float | None = None
    blocked: bool | None = None
    halted: bool | None = None
    discrepancies: int = 0
    restarts: int | None = None
    log: str = ""

    @property
    def where_to_look(self) -> str:
        """What to do about it, in general."""
        return f"read {self.log}" if self.log else "read its log and its /readyz"


def check_processes(processes: Sequence[ProcessFacts]) -> list[Finding]:
    """The findings from what all processes report."""
    names = ("ready", "restarts", "versions", "clocks", "trading")
    if not processes:
        return [not_applicable(f"services.{name}", NO_SERVICE) for name in names]
    known = [process for process in processes if not process.error]
    rest = [_versions(known), _clocks(known), _trading(known)]
    return [_ready(processes), _restarts(processes), *rest]


def _ready(processes: Sequence[ProcessFacts]) -> Finding:
    check = "services.ready"
    problems = [
        failed(check, f"{one.name}: {one.error}", one.where_to_look)
        for one in processes
        if one.error
    ]
    problems += [
        failed(
            check,
            f"{one.name} is not ready"
            + (f" ({', '.join(one.not_because)})" if one.not_because else ""),
            one.where_to_look,
        )
        for one in processes
        if one.ready is False
    ]
    return merged(check, problems, f"{len(processes)} of {len(processes)} processes")


def _restarts(processes: Sequence[ProcessFacts]) -> Finding:
    check = "services.restarts"
    counted = [one for one in processes if one.restarts is not None]
    if not counted:
        return not_applicable(
            check,
            "these services are restarted by something else, which counts it: `kubectl get pods`",
        )
    problems = [
        warning(
            check,
            f"{one.name} was started again {one.restarts} times",
            f"{one.where_to_look}: its last error says why",
        )
        for one in counted
        if one.restarts
    ]
    return merged(check, problems, "none")


def _versions(processes: Sequence[ProcessFacts]) -> Finding:
    check = "services.versions"
    versions = sorted({one.version for one in processes if one.version})
    if not versions:
        return unknown(check, "no process reports its version", "see services.ready")
    if len(versions) == 1:
        return merged(check, [], f"all are {versions[0]}")
    by_version = "; ".join(
        f"{version}: {', '.join(one.name for one in processes if one.version == version)}"
        for version in versions
    )
    advice = "bring all to one version: older readers send newer messages to the dead letters"
    return warning(check, by_version, advice)


def _clocks(processes: Sequence[ProcessFacts]) -> Finding:
    check = "services.clocks"
    asked = [one for one in processes if one.clock_seconds is not None]
    if not asked:
        return not_applicable(check, "no service was asked directly; --service names one")
    problems = [
        warning(
            check,
            f"the clock of {one.name} is {abs(one.clock_seconds or 0.0):.0f} s "
            f"{'ahead of' if (one.clock_seconds or 0.0) > 0 else 'behind'} this machine's",
            "let both follow the same time (chrony, ntpd)",
        )
        for one in asked
        if abs(one.clock_seconds or 0.0) > CLOCK_SECONDS
    ]
    return merged(check, problems, f"within {CLOCK_SECONDS:g} s of this machine's")


def _trading(processes: Sequence[ProcessFacts]) -> Finding:
    check = "services.trading"
    executors = [one for one in processes if one.blocked is not None]
    if not executors:
        return not_applicable(check, "no executor was found among the services")
    problems = [
        failed(
            check,
            f"{one.name} decides no signal: it is not reconciled, or an order's outcome is unknown",
            f"{one.where_to_look} for `trading blocked`; broker and database must answer",
        )
        for one in executors
        if one.blocked
    ]
    problems += [
        warning(
            check,
            f"{one.name} places no buy order: the kill switch is on",
            "`streamdesk trading resume`, when its cause is resolved",
        )
        for one in executors
        if one.halted
    ]
    problems += [
        failed(
            check,
            f"{one.name} finds {one.discrepancies} figures that contradict the ledger or broker",
            f"{one.where_to_look}; compare the account with the broker's statement",
        )
        for one in executors
        if one.discrepancies
    ]
    return merged(check, problems, f"open at all executors ({len(executors)})")


@dataclass(frozen=True, slots=True)
class Series:
    """The metrics of one process: figures by name, and the labels of `streamdesk_info`."""

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
    known: dict[str, Any] = {"restarts": row.restarts, "log": row.log}
    if row.state != "running":
        return ProcessFacts(row.name, error="ended, and waits for its restart", **known)
    if row.port is None:
        return ProcessFacts(row.name, error="has not started yet", **known)
    return await _process(f"http://{LOOPBACK}:{row.port}", row.name, **known)


async def _process(url: str, name: str, **known: Any) -> ProcessFacts:  # noqa: ANN401 - as the facts
    ready, page = await asyncio.gather(get(url, "/readyz"), get(url, "/metrics"))
    error = ready.error or page.error
    body = ready.json()
    if not error and (page.status != OK or not isinstance(body, dict)):
        error = f"{shown(url)} has no /readyz and /metrics: is it the address of its probes?"
    if error:
        return ProcessFacts(name, error=error, **known)
    # A process that drains is not ready either, with every check still passing.
    checks = body.get("checks", {})
    not_because = tuple(str(key) for key, value in checks.items() if value is not True)
    if body.get("draining"):
        not_because += ("it is stopping",)
    facts = _facts(name, _series_of(page.body.decode(errors="replace")), known)
    more = {"not_because": not_because, "ready": ready.status == OK, "clock_seconds": _clock(page)}
    return _with(facts, more)


def _with(facts: ProcessFacts, more: Mapping[str, Any]) -> ProcessFacts:
    fields = {name: getattr(facts, name) for name in ProcessFacts.__slots__}
    return ProcessFacts(**(fields | dict(more)))


def _clock(page: HttpAnswer) -> float | None:
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


def _facts(name: str, series: Series, known: Mapping[str, Any]) -> ProcessFacts:
    figures = series.figures
    # Every process of ours has every gauge; only an executor's says anything.
    trades = series.info.get("service") == "order-executor" and BLOCKED in figures
    return ProcessFacts(
        name=name,
        ready=bool(figures[READY]) if READY in figures else None,
        version=series.info.get("version", ""),
        blocked=bool(figures[BLOCKED]) if trades else None,
        halted=any(figures.get(name, 0) for name in STOPPED) if trades else None,
        discrepancies=int(sum(figures.get(each, 0) for each in DISCREPANCIES)) if trades else 0,
        **known,
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
