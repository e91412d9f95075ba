"""A notification in, the queue has it, an answer out."""

import hmac
from collections.abc import Awaitable, Callable
from datetime import datetime

from streamdesk.alert_relay.adapters.alertmanager import read_notification
from streamdesk.alert_relay.errors import WebhookError
from streamdesk.bus import BusUnavailableError, QueueFullError
from streamdesk.contracts.events import AlertsNotified
from streamdesk.runtime import logger, metrics

log = logger("alert-relay")

Publish = Callable[[AlertsNotified], Awaitable[object]]


class QueueNotification:
    """Takes responsibility for notifications.

    Args:
        publish: returns when the queue has an event for good.
        token: what a sender must show; empty for nothing.
        clock: tells the time.
    """

    def __init__(self, publish: Publish, token: str, clock: Callable[[], datetime]) -> None:
        self._publish = publish
        self._token = token.encode()
        self._clock = clock

    def authorize(self, header: str) -> None:
        """Refuse who has not the token.

        Args:
            header: Authorization.

        Raises:
            WebhookError: 401.
        """
        if not self._token:
            return
        scheme, _, shown = header.partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(shown.encode(), self._token):
            raise WebhookError(
                401,
                "unauthorized",
                "the request needs `Authorization: Bearer <token>` with the token of "
                "ALERT_RELAY_TOKEN; in Alertmanager: http_config.authorization.credentials",
            )

    async def take(self, body: bytes) -> AlertsNotified:
        """Queue the notification in a request's body.

        Raises:
            WebhookError: 400 where it cannot be read, 503 where the queue does not take it.
        """
        event = read_notification(body, self._clock())
        try:
            await self._publish(event)
        except (BusUnavailableError, QueueFullError) as error:
            log.warning("notification not taken", group=event.group_key, why=str(error))
            raise WebhookError(503, "unavailable", f"not taken, send it again: {error}") from error
        metrics.ALERT_WEBHOOKS.labels("queued").inc()
        log.info(
            "notification queued",
            group=event.group_key,
            status=event.status,
            alerts=len(event.alerts) + event.left_out,
        )
        return event
