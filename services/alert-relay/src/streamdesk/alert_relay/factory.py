"""Wires the alert relay."""

import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

from fastapi import FastAPI

from streamdesk.alert_relay.adapters.dingtalk import DingTalkRobot
from streamdesk.alert_relay.adapters.journal_store import JournalStore
from streamdesk.alert_relay.application import send_trial
from streamdesk.alert_relay.application.queue_notification import QueueNotification
from streamdesk.alert_relay.application.send_alerts import AlertSender, Report
from streamdesk.alert_relay.config import LOOPBACKS, NAME, ROBOT_HOST, QueueSettings, Settings
from streamdesk.alert_relay.domain.message import MessageWriter, Style
from streamdesk.alert_relay.domain.pacing import SendQuota
from streamdesk.alert_relay.entrypoints.http import application
from streamdesk.bus import BatchHandler, Bus, BusConfig, BusError, RetryPolicy, Subscription, Wait
from streamdesk.contracts.events import AlertsNotified, Severity, SystemEvent
from streamdesk.contracts.topics import ALERTS, SYSTEM_EVENTS
from streamdesk.runtime import (
    BadSettingError,
    Drain,
    Service,
    ServiceTask,
    listen,
    logger,
    serve_http,
)
from streamdesk.runtime.settings_report import load

log = logger(__name__)

GROUP = "alert-relays"
NOT_DELIVERED = "alerts-not-told"
PUBLISH_SECONDS = 5.0
"""Alertmanager waits ten seconds for an answer, and then sends again."""

NEVER_DEAD = RetryPolicy(max_retries=1_000_000_000)
RESERVED = 3
"""Messages of a minute that are kept for critical alerts."""

BATCH = 100
REQUESTS_SECONDS = 8


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def robot_of(settings: Settings) -> DingTalkRobot:
    """The robot of the settings.

    Raises:
        BadSettingError: it is not DingTalk's or not https, and the settings do not allow that.
    """
    url = settings.dingtalk_url.get_secret_value()
    parts = urlsplit(url)
    if not settings.dingtalk_any_host and (parts.scheme, parts.hostname) != ("https", ROBOT_HOST):
        raise BadSettingError(
            "DINGTALK_URL",
            f"{parts.scheme}://{parts.hostname}/...",
            f"https://{ROBOT_HOST}/robot/send?access_token=..., or DINGTALK_ANY_HOST=true",
        )
    secret = settings.dingtalk_secret.get_secret_value() if settings.dingtalk_secret else ""
    return DingTalkRobot(url, secret, settings.dingtalk_timeout_seconds, time.time)


def writer_of(settings: Settings) -> MessageWriter:
    """The writer of messages."""
    return MessageWriter(
        Style(
            max_bytes=settings.dingtalk_max_bytes,
            utc_offset_hours=settings.alert_relay_utc_offset_hours,
            mentions={
                "critical": settings.dingtalk_at_critical,
                "warning": settings.dingtalk_at_warning,
            },
            keyword=settings.dingtalk_keyword,
        )
    )


def bus_of(settings: QueueSettings) -> BusConfig:
    """The configuration of the bus: a publish gives up before Alertmanager does."""
    return BusConfig(
        **settings.bus_config(NAME, Wait), publish_timeout_seconds=PUBLISH_SECONDS, retry=NEVER_DEAD
    )


def sender_of(
    settings: Settings, bus: Bus, robot: DingTalkRobot, clock: Callable[[], float] = time.time
) -> AlertSender:
    """The sender, not yet running."""
    topic = ALERTS.configured(key=settings.alerts_key)

    def subscribe(handler: BatchHandler[AlertsNotified]) -> Subscription:
        # Batches one after another: a batch is acknowledged once it is in the journal, and the
        # journal has one writer.
        return bus.subscribe_batches(topic, GROUP, handler, batch=BATCH, concurrency=1)

    return AlertSender(
        JournalStore(bus.keys, settings.alert_relay_lease_seconds),
        robot,
        writer_of(settings),
        subscribe,
        report_of(settings, bus),
        quota=SendQuota(
            settings.dingtalk_messages_per_minute, settings.dingtalk_minute_seconds, RESERVED
        ),
        repeat_seconds=settings.alert_relay_repeat_seconds,
        lease_seconds=settings.alert_relay_lease_seconds,
        clock=clock,
    )


def report_of(settings: Settings, bus: Bus) -> Report:
    """Reports to the desk, and so to the page, that alerts do not reach people."""
    topic = SYSTEM_EVENTS.configured(key=settings.system_key)

    async def report(why: str) -> None:
        event = SystemEvent(
            service=NAME,
            kind=NOT_DELIVERED,
            message=f"alerts do not reach people: {why}",
            severity=Severity.CRITICAL,
            timestamp=utc_now(),
        )
        try:
            await bus.publish(topic, event)
        except BusError as error:
            log.warning("report not published", why=str(error))

    return report


def webhook_of(settings: Settings, bus: Bus) -> FastAPI:
    """The webhook's HTTP application.

    Raises:
        BadSettingError: it would listen beyond this machine without a token.
    """
    token = settings.alert_relay_token
    if token is None and settings.alert_relay_host not in LOOPBACKS:
        raise BadSettingError(
            "ALERT_RELAY_TOKEN",
            "",
            "a token that Alertmanager shows (openssl rand -hex 16), or ALERT_RELAY_HOST=127.0.0.1",
        )
    topic = ALERTS.configured(key=settings.alerts_key)

    async def publish(event: AlertsNotified) -> str:
        return await bus.publish(topic, event)

    return application(
        QueueNotification(publish, utc_now), token.get_secret_value() if token else ""
    )


@asynccontextmanager
async def build(settings: Settings, service: Service) -> AsyncIterator[Sequence[ServiceTask]]:
    """The tasks of the alert relay: the webhook in every replica, the sender in one."""
    async with AsyncExitStack() as stack:
        robot = robot_of(settings)
        stack.push_async_callback(robot.close)
        bus = await stack.enter_async_context(
            Bus.connect(bus_of(settings), service.bus_observer(), service.bus_tracer())
        )
        service.ready_when("bus", lambda: bus.connected)
        webhook, sender = webhook_of(settings, bus), sender_of(settings, bus, robot)
        listener = listen(settings.alert_relay_host, settings.alert_relay_port, "ALERT_RELAY_PORT")
        stack.enter_context(listener)
        yield [ServiceTask("http", _server(webhook, listener)), ServiceTask("sender", sender.run)]


def _server(app: FastAPI, listener: socket.socket) -> Callable[[Drain], Awaitable[None]]:
    async def serve(drain: Drain) -> None:
        host, port = listener.getsockname()[:2]
        log.info("listening", host=host, port=port)
        await serve_http(
            app,
            listener,
            drain,
            close_seconds=REQUESTS_SECONDS,
            websockets="none",
            behind_proxy=False,
        )

    return serve


async def try_directly(events: Sequence[AlertsNotified]) -> str:
    """Send test alerts to the robot of the settings; the outcome as `send_directly` returns it.

    Raises:
        BadSettingError: a setting is missing or wrong.
    """
    settings = load(Settings)
    robot = robot_of(settings)
    try:
        return await send_trial.send_directly(events, robot, writer_of(settings))
    finally:
        await robot.close()


async def try_through_queue(events: Sequence[AlertsNotified], wait_seconds: float) -> str:
    """Send test alerts through the running relay; the outcome as `send_through_queue` returns it.

    Raises:
        BadSettingError: a setting is missing or wrong.
        BusError: Redis is unavailable.
    """
    settings = load(QueueSettings)
    topic = ALERTS.configured(key=settings.alerts_key)
    async with Bus.connect(bus_of(settings)) as bus:
        return await send_trial.send_through_queue(events, bus, topic, wait_seconds)
