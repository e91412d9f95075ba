"""Watch the Redis masters: is there one, and is it the one that the Sentinels name?

All Sentinels and all servers are asked, each for itself. With two masters, writes will be lost.
With none, or one that the Sentinels do not name, there is an outage that no client reports as such.
"""

from collections.abc import Awaitable, Callable

from streamdesk.operator.adapters.sentinels import SentinelClient
from streamdesk.operator.domain.decision import Transition
from streamdesk.operator.domain.masters import MasterVerdict, verdict_of
from streamdesk.runtime import metrics

CONFIRMED_BY = 2
"""Checks in a row with the same result before it is reported: a failover is no dispute."""

Report = Callable[[Transition], Awaitable[None]]


class MasterWatchdog:
    """Compares what Sentinels and servers report, and reports a dispute and its end.

    Args:
        sentinels: asks Sentinels and servers.
        report: posts an event.
    """

    def __init__(self, sentinels: SentinelClient, report: Report) -> None:
        self._sentinels = sentinels
        self._report = report
        self._checks_as_now = 0
        self._agreed: bool | None = None
        self._reported: bool | None = True

    async def check(self) -> None:
        """Ask once, and report what is confirmed and new."""
        await self._note(verdict_of(*await self._sentinels.ask()))

    async def _note(self, verdict: MasterVerdict) -> None:
        service = self._sentinels.service
        metrics.REDIS_MASTERS.labels(service).set(verdict.masters)
        metrics.REDIS_MASTER_AGREES.labels(service).set(verdict.agrees)
        same = verdict.agrees == self._agreed
        self._checks_as_now = self._checks_as_now + 1 if same else 1
        self._agreed = verdict.agrees
        if self._checks_as_now < CONFIRMED_BY or verdict.agrees == self._reported:
            return
        self._reported = verdict.agrees
        if verdict.agrees:
            await self._report(Transition("RedisMasterAgreed", verdict.message))
        else:
            await self._report(Transition("RedisMasterDisputed", verdict.message, warning=True))
