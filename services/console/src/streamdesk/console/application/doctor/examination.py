"""Runs the checks of all areas concurrently, each area with a time limit."""

import asyncio
from collections.abc import Awaitable, Sequence

from streamdesk.console.adapters import desk_bus
from streamdesk.console.application.doctor.installation import Installation
from streamdesk.console.application.doctor.ledger import examine_ledger
from streamdesk.console.application.doctor.monitoring import examine_monitoring
from streamdesk.console.application.doctor.processes import examine_processes
from streamdesk.console.application.doctor.redis import examine_redis
from streamdesk.console.application.doctor.sentinels import examine_sentinels
from streamdesk.console.application.doctor.settings import check_settings
from streamdesk.console.application.doctor.topics import examine_topics
from streamdesk.console.domain.finding import CHECKS, Finding, unknown
from streamdesk.console.errors import UsageError


async def examine(
    installation: Installation, wanted: Sequence[str], timeout_seconds: float
) -> list[Finding]:
    """What the wanted checks find, in their order. It ends in time even if a server hangs.

    Args:
        installation: what is looked at.
        wanted: full names of checks.
        timeout_seconds: longest wait for all together.

    Raises:
        UsageError: the Redis URL cannot be read.
    """
    areas = [area for area in CHECKS if any(name.startswith(f"{area}.") for name in wanted)]
    found = await asyncio.gather(
        *(_guarded(area, _area(area, installation), timeout_seconds) for area in areas)
    )
    by_name = {finding.check: finding for findings in found for finding in findings}
    return [by_name[name] for name in wanted]


def _area(area: str, installation: Installation) -> Awaitable[list[Finding]]:
    examinations = {
        "redis": lambda: examine_redis(
            installation.url, clustered="KUBERNETES_SERVICE_HOST" in installation.environment
        ),
        "sentinels": lambda: examine_sentinels(installation.url),
        "topics": lambda: examine_topics(
            installation.url, desk_bus.topics(installation.environment).values()
        ),
        "ledger": lambda: examine_ledger(installation.ledger),
        "services": lambda: examine_processes(
            installation.state, installation.services, installation.prometheus
        ),
        "settings": lambda: _settings(installation),
        "monitoring": lambda: examine_monitoring(
            installation.prometheus, installation.alertmanager, installation.relay
        ),
    }
    return examinations[area]()


async def _settings(installation: Installation) -> list[Finding]:
    return check_settings(installation.fetcher, installation.gateway)


async def _guarded(
    area: str, examination: Awaitable[list[Finding]], timeout_seconds: float
) -> list[Finding]:
    """What an area finds; one that hangs or breaks says so itself and hides no other."""
    try:
        async with asyncio.timeout(timeout_seconds):
            return await examination
    except UsageError:
        raise
    except TimeoutError:
        why = f"no answer within {timeout_seconds:g} s"
    except Exception as error:  # noqa: BLE001 - one area that breaks must not hide the others
        why = f"{type(error).__name__}: {error}"
    advice = "try again, with a longer --timeout; if it persists, it is a bug in the doctor"
    return [unknown(f"{area}.{name}", why, advice) for name in CHECKS[area]]
