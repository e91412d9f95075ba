"""How the processes are: ready, stable, of one version, in time, and trading."""

from collections.abc import Sequence
from dataclasses import dataclass

from streamdesk.console.domain.finding import (
    Finding,
    failed,
    merged,
    not_applicable,
    unknown,
    warning,
)

CLOCK_SECONDS = 3.0
"""An HTTP date has whole seconds, and is up to a second old."""

NOBODY = (
    "no service is known: `streamdesk up` runs none here; --service names one by its probes' "
    "address, PROMETHEUS_URL knows all that it scrapes"
)


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """One process of a service, as its probes or Prometheus tell.

    Args:
        name: for people.
        error: why nothing is known of it; empty otherwise.
        ready: what it says; None when it was not asked.
        not_because: names of the checks of /readyz that say no.
        version: of its service.
        clock_seconds: how far its clock is ahead of ours; None when it is not known.
        blocked: no signal is decided; None for what is no executor.
        halted: the kill switch is on; None as before.
        discrepancies: figures of the ledger that contradict its fills or the broker.
        restarts: how often `up` started it again; None when somebody else runs it.
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
    """All that they tell of themselves."""
    names = ("ready", "restarts", "versions", "clocks", "trading")
    if not processes:
        return [not_applicable(f"services.{name}", NOBODY) for name in names]
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
        return not_applicable(check, "who restarts these services counts it: `kubectl get pods`")
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
        return unknown(check, "no process tells its version", "see services.ready")
    if len(versions) == 1:
        return merged(check, [], f"all are {versions[0]}")
    told = "; ".join(
        f"{version}: {', '.join(one.name for one in processes if one.version == version)}"
        for version in versions
    )
    advice = "bring all to one version: readers that are older than writers give messages up"
    return warning(check, told, advice)


def _clocks(processes: Sequence[ProcessFacts]) -> Finding:
    check = "services.clocks"
    told = [one for one in processes if one.clock_seconds is not None]
    if not told:
        return not_applicable(check, "no service was asked directly; --service names one")
    problems = [
        warning(
            check,
            f"the clock of {one.name} is {abs(one.clock_seconds or 0.0):.0f} s "
            f"{'ahead of' if (one.clock_seconds or 0.0) > 0 else 'behind'} this machine's",
            "let both follow the same time (chrony, ntpd)",
        )
        for one in told
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
            f"{one.name} makes no purchase: the kill switch is on",
            "`streamdesk trading resume`, when its cause is gone",
        )
        for one in executors
        if one.halted
    ]
    problems += [
        failed(
            check,
            f"{one.name} finds {one.discrepancies} figures that contradict the books",
            f"{one.where_to_look}; compare the account with the broker's statement by hand",
        )
        for one in executors
        if one.discrepancies
    ]
    return merged(check, problems, f"open at all executors ({len(executors)})")
