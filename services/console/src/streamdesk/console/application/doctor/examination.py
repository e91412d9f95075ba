"""Runs the checks beside each other, each area with its own end."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass

from streamdesk.bus import BusConfigError
from streamdesk.console.adapters import desk_bus
from streamdesk.console.application.doctor.ledger_reader import examine_ledger
from streamdesk.console.application.doctor.monitoring_reader import examine_monitoring
from streamdesk.console.application.doctor.process_reader import examine_processes
from streamdesk.console.application.doctor.redis_reader import examine_redis, examine_sentinels
from streamdesk.console.application.doctor.settings import check_settings
from streamdesk.console.application.doctor.topic_reader import examine_topics
from streamdesk.console.domain.finding import CHECKS, Finding, unknown
from streamdesk.console.domain.state import DeskState
from streamdesk.console.errors import UsageError


@dataclass(frozen=True, slots=True)
class Patient:
    """What is looked at.

    Args:
        url: of the Redis server.
        state: of the desk that runs here; None without one.
        ledger: the ledger's URL; None where none is known.
        environment: the variables that are set here.
        fetcher: those of the news fetcher.
        gateway: those of the gateway.
        services: addresses of services' probes, beside the desk's.
        prometheus: its address, or None.
        alertmanager: its address, or None.
        relay: address of the alert relay's probes, or None.
    """

    url: str
    state: DeskState | None
    ledger: str | None
    environment: Mapping[str, str]
    fetcher: Mapping[str, str]
    gateway: Mapping[str, str]
    services: Sequence[str] = ()
    prometheus: str | None = None
    alertmanager: str | None = None
    relay: str | None = None


async def examine(patient: Patient, wanted: Sequence[str], timeout_seconds: float) -> list[Finding]:
    """What the wanted checks find, in their order. It ends in time, whatever hangs.

    Args:
        patient: what is looked at.
        wanted: full names of checks.
        timeout_seconds: longest wait for all together.

    Raises:
        UsageError: the Redis URL cannot be read.
        BusConfigError: as before.
    """
    areas = [area for area in CHECKS if any(name.startswith(f"{area}.") for name in wanted)]
    found = await asyncio.gather(
        *(_guarded(area, _area(area, patient), timeout_seconds) for area in areas)
    )
    by_name = {finding.check: finding for findings in found for finding in findings}
    return [by_name[name] for name in wanted]


def _area(area: str, patient: Patient) -> Awaitable[list[Finding]]:
    works = {
        "redis": lambda: examine_redis(
            patient.url, clustered="KUBERNETES_SERVICE_HOST" in patient.environment
        ),
        "sentinels": lambda: examine_sentinels(patient.url),
        "topics": lambda: examine_topics(
            patient.url, desk_bus.topics(patient.environment).values()
        ),
        "ledger": lambda: examine_ledger(patient.ledger),
        "services": lambda: examine_processes(patient.state, patient.services, patient.prometheus),
        "settings": lambda: _settings(patient),
        "monitoring": lambda: examine_monitoring(
            patient.prometheus, patient.alertmanager, patient.relay
        ),
    }
    return works[area]()


async def _settings(patient: Patient) -> list[Finding]:
    return check_settings(patient.fetcher, patient.gateway)


async def _guarded(
    area: str, work: Awaitable[list[Finding]], timeout_seconds: float
) -> list[Finding]:
    """What an area finds; one that hangs or breaks says so itself and hides no other."""
    try:
        async with asyncio.timeout(timeout_seconds):
            return await work
    except (UsageError, BusConfigError):
        raise
    except TimeoutError:
        why = f"no answer within {timeout_seconds:g} s"
    except Exception as error:  # noqa: BLE001 - whatever it is, the other checks are still of use
        why = f"{type(error).__name__}: {error}"
    advice = "try again, with a longer --timeout; if it stays so, it is a fault of the doctor's"
    return [unknown(f"{area}.{name}", why, advice) for name in CHECKS[area]]
