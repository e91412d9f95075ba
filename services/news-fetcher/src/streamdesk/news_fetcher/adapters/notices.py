"""Reports about a source: a log line or system event when something begins, not each round."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from streamdesk.contracts.events import Severity, SystemEvent
from streamdesk.news_fetcher.domain.round_result import RoundResult
from streamdesk.news_fetcher.errors import SourceError
from streamdesk.runtime import logger

log = logger(__name__)

SERVICE = "news-fetcher"
QUOTA_EXHAUSTED = "news-quota-exhausted"
KEY_REFUSED = "news-key-refused"

PublishSystem = Callable[[SystemEvent], Awaitable[object]]


class Notices:
    """Log lines and system events of one source.

    Args:
        source: name of the source.
        publish: writes a system event.
        clock: the current time.
    """

    def __init__(self, source: str, publish: PublishSystem, clock: Callable[[], datetime]) -> None:
        self._source = source
        self._publish = publish
        self._clock = clock
        self._failing: dict[str, str] = {}

    def round_done(self, result: RoundResult) -> None:
        """Log what came of a round; failures when they begin, and when they change."""
        log.info(
            "round done",
            source=self._source,
            fetched=result.fetched,
            published=result.published,
            duplicates=result.duplicates,
            rejected=dict(result.rejected),
            failed=result.failed,
        )
        if result.broken:
            log.warning("round cut short", source=self._source, why=result.broken)
        if result.over:
            return  # not every ticker was asked about
        if self._failing and not result.failed:
            log.info("source back", source=self._source)
        elif result.failed != self._failing:
            known = isinstance(result.error, SourceError)
            log.warning(
                "source lost",
                source=self._source,
                failed=result.failed,
                error=str(result.error) if known else repr(result.error),
                exc_info=None if known else result.error,
            )
        self._failing = result.failed

    async def quota_exhausted(self, why: str, until: datetime) -> None:
        """Report that the calls of the day are used up.

        Raises:
            BusError: the event could not be published.
        """
        log.warning("quota exhausted", source=self._source, until=until.isoformat(), why=why)
        await self._publish_event(
            QUOTA_EXHAUSTED, Severity.WARNING, why, {"until": until.isoformat()}
        )

    async def key_refused(self, why: str) -> None:
        """Report that the source does not accept the key.

        Raises:
            BusError: the event could not be published.
        """
        log.error("key refused, nothing is asked any more", source=self._source, why=why)
        await self._publish_event(KEY_REFUSED, Severity.CRITICAL, why, {})

    async def _publish_event(
        self, kind: str, severity: Severity, message: str, details: dict[str, str]
    ) -> None:
        event = SystemEvent(
            service=SERVICE,
            kind=kind,
            severity=severity,
            message=message,
            details={"source": self._source, **details},
            timestamp=self._clock(),
        )
        await self._publish(event)
