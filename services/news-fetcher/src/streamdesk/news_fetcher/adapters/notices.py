"""What people are told about a source: once when it begins, not again each round."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from streamdesk.contracts.events import Severity, SystemEvent
from streamdesk.news_fetcher.domain.round_result import RoundResult
from streamdesk.news_fetcher.errors import SourceError
from streamdesk.runtime import logger

log = logger("news-fetcher")

SERVICE = "news-fetcher"
QUOTA_EXHAUSTED = "news-quota-exhausted"
KEY_REFUSED = "news-key-refused"

PublishSystem = Callable[[SystemEvent], Awaitable[object]]


class Notices:
    """Log lines and system events of one source.

    Args:
        source: name of the source.
        publish: writes a system event.
        clock: tells the time.
    """

    def __init__(self, source: str, publish: PublishSystem, clock: Callable[[], datetime]) -> None:
        self._source = source
        self._publish = publish
        self._clock = clock
        self._failing: dict[str, str] = {}

    def round_done(self, result: RoundResult) -> None:
        """What came of a round; what fails is said when it begins to, and when it changes."""
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
        """The calls of the day are used up.

        Raises:
            BusError: it could not be told on the bus.
        """
        log.warning("quota exhausted", source=self._source, until=until.isoformat(), why=why)
        await self._tell(QUOTA_EXHAUSTED, Severity.WARNING, why, {"until": until.isoformat()})

    async def key_refused(self, why: str) -> None:
        """The source does not accept the key.

        Raises:
            BusError: it could not be told on the bus.
        """
        log.error("key refused, nothing is asked any more", source=self._source, why=why)
        await self._tell(KEY_REFUSED, Severity.CRITICAL, why, {})

    async def _tell(
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
