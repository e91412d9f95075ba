"""Queue a notification: when Alertmanager gets its 200, the queue has the event."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from streamdesk.alert_relay.adapters.alertmanager import read_notification
from streamdesk.alert_relay.errors import WebhookError
from streamdesk.bus import BusUnavailableError, QueueFullError
from streamdesk.contracts.events import AlertsNotified
from streamdesk.runtime import logger, metrics

log = logger(__name__)

Publish = Callable[[AlertsNotified], Awaitable[object]]


class QueueNotification:
    """Queues notifications.

    Args:
        publish: returns when the queue has stored an event.
        clock: the time.
    """

    def __init__(self, publish: Publish, clock: Callable[[], datetime]) -> None:
        self._publish = publish
        self._clock = clock

    async def queue(self, body: bytes) -> AlertsNotified:
        """Queue the notification in a request's body.

        Raises:
            WebhookError: 400 if it is unreadable, 503 if the queue does not store it.
        """
        event = read_notification(body, self._clock())
        try:
            await self._publish(event)
        except (BusUnavailableError, QueueFullError) as error:
            log.warning("notification not queued", group=event.group_key, why=str(error))
            raise WebhookError(503, "unavailable", f"not queued, send it again: {error}") from error
        metrics.ALERT_WEBHOOKS.labels("queued").inc()
        log.info(
            "notification queued",
            group=event.group_key,
            status=event.status,
            alerts=len(event.alerts) + event.left_out,
        )
        return event
