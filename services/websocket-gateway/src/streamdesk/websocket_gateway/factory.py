"""The only place where the gateway's objects are wired."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from fastapi import FastAPI
from starlette.websockets import WebSocket

from streamdesk.bus import Bus, BusConfig, Wait
from streamdesk.contracts import topics
from streamdesk.contracts.base import Topic
from streamdesk.runtime import Drain, Service, ServiceTask, listen, logger, serve_http
from streamdesk.websocket_gateway.adapters.event_source import BusSource, EventSource
from streamdesk.websocket_gateway.adapters.metrics import GatewayMetrics
from streamdesk.websocket_gateway.adapters.sockets import ClientConnection
from streamdesk.websocket_gateway.adapters.tokens import TokenVerifier, redact_logs
from streamdesk.websocket_gateway.application.follow_events import FollowEvents
from streamdesk.websocket_gateway.application.gateway import Gateway
from streamdesk.websocket_gateway.application.open_connections import (
    ConnectionLimits,
    OpenConnections,
)
from streamdesk.websocket_gateway.application.read_lag import LagView
from streamdesk.websocket_gateway.application.send_events import SendEvents
from streamdesk.websocket_gateway.application.serve_connection import ServeConnection
from streamdesk.websocket_gateway.application.watch_bus import WatchBus
from streamdesk.websocket_gateway.config import Settings
from streamdesk.websocket_gateway.domain.access import ChannelAccess
from streamdesk.websocket_gateway.domain.history import ChannelHistory
from streamdesk.websocket_gateway.domain.hub import Hub
from streamdesk.websocket_gateway.domain.outbox import ClientOutbox
from streamdesk.websocket_gateway.entrypoints import assets
from streamdesk.websocket_gateway.entrypoints.http import HttpRoutes
from streamdesk.websocket_gateway.entrypoints.websocket import SocketRoute

log = logger(__name__)

CLOSE_SHARE = 0.4  # share of the grace period in which clients may answer the close frame
REQUESTS_SECONDS = 2  # for HTTP requests that are still running after that


@asynccontextmanager
async def build(settings: Settings, service: Service) -> AsyncIterator[list[ServiceTask]]:
    """The gateway's tasks, on the bus that the settings name."""
    listener = listen(settings.gateway_host, settings.gateway_port, "GATEWAY_PORT")
    with listener:
        config = BusConfig(**settings.bus_config(service.name, Wait))
        bus = Bus.connect(config, observer=service.bus_observer(), tracer=service.bus_tracer())
        async with bus:
            source = bus_source(bus, settings)
            gateway = gateway_over(source, settings)
            # The bus is no condition: during an outage the sockets stay open, and a restart would
            # only drop them.
            service.ready_when("room", lambda: not gateway.connections.full)
            yield tasks(gateway, source, settings, listener)


def bus_source(bus: Bus, settings: Settings) -> BusSource:
    """The source of all topics that the gateway consumes, and of the lag of every group."""
    consumed = [topic for topic in topics.TOPICS if topics.GATEWAY in topic.consumers]
    grouped = [topic for topic in topics.TOPICS if topic.groups]
    return BusSource(
        bus,
        tailed=[_configured(topic, settings) for topic in consumed],
        grouped=[_configured(topic, settings) for topic in grouped],
        states=_configured(topics.ANALYSIS_STATES, settings),
        states_seconds=settings.gateway_states_seconds,
    )


def tasks(
    gateway: Gateway, source: EventSource, settings: Settings, listener: socket.socket
) -> list[ServiceTask]:
    """The tasks of a gateway, over any source of events."""
    app = application(gateway, source, settings)
    _cut_dead_peers(listener, settings.gateway_stall_timeout_seconds)
    redact_logs()

    async def serve(drain: Drain) -> None:
        host, port = listener.getsockname()[:2]
        log.info("listening", host=host, port=port, tokens=bool(settings.gateway_jwt_secret))
        last_requests = Drain()

        async def close_sockets() -> None:
            await drain.requested.wait()
            await gateway.connections.close_all(settings.grace_seconds * CLOSE_SHARE)
            last_requests.request()

        async with asyncio.TaskGroup() as group:
            group.create_task(close_sockets())
            await serve_http(
                app,
                listener,
                last_requests,
                close_seconds=REQUESTS_SECONDS,
                websocket_max_bytes=settings.gateway_max_message_bytes,
            )

    return [
        ServiceTask("http", serve),
        ServiceTask("events", gateway.follow.run),
        ServiceTask("watch", gateway.watch.run),
        ServiceTask("sweep", gateway.connections.sweep),
    ]


def application(gateway: Gateway, source: EventSource, settings: Settings) -> FastAPI:
    """The HTTP application: the page, the API and the sockets.

    Raises:
        AssetMissingError: a file that the page needs is not installed.
    """
    app = FastAPI(title="Streamdesk gateway", docs_url=None, redoc_url=None)
    verifier = TokenVerifier(settings.gateway_jwt_secret)
    assets.mount_page(app)
    HttpRoutes(gateway, verifier, LagView(source, settings.gateway_lag_ttl_seconds)).mount(app)
    SocketRoute(gateway, verifier, settings.gateway_allowed_origins).mount(app)
    return app


def gateway_over(
    source: EventSource,
    settings: Settings,
    *,
    now: Callable[[], float] = time.monotonic,
    wall: Callable[[], float] = time.time,
) -> Gateway:
    """The gateway's use cases over any source of events.

    Args:
        source: the bus.
        settings: bounds.
        now: monotonic seconds.
        wall: seconds since the epoch.
    """
    limits = limits_of(settings)
    hub = Hub(limits.max_channels)
    history = ChannelHistory(
        events=settings.gateway_history_events, bars=settings.gateway_history_bars
    )
    metrics = GatewayMetrics()
    connections = OpenConnections(limits, metrics, now=now, wall=wall)
    watch = WatchBus(source, connections, metrics)

    def open_connection(accepted: WebSocket, access: ChannelAccess) -> ClientConnection:
        outbox = ClientOutbox(limits.queue_messages, limits.queue_bytes)
        seconds = limits.stall_timeout_seconds
        return ClientConnection(
            accepted, uuid4().hex, access, outbox, now=now, stall_seconds=seconds
        )

    return Gateway(
        hub=hub,
        history=history,
        connections=connections,
        serve=ServeConnection(
            open_connection, connections, hub, history, bus_state=watch.state, wall=wall
        ),
        follow=FollowEvents(
            source,
            hub,
            history,
            metrics,
            history_seconds=settings.gateway_history_seconds,
            wall=wall,
        ),
        watch=watch,
        send=SendEvents(hub, wall),
        now=now,
    )


def limits_of(settings: Settings) -> ConnectionLimits:
    """The bounds of connections, from the settings."""
    return ConnectionLimits(
        queue_messages=settings.gateway_queue_messages,
        queue_bytes=settings.gateway_queue_bytes,
        max_connections=settings.gateway_max_connections,
        max_channels=settings.gateway_max_channels,
        max_message_bytes=settings.gateway_max_message_bytes,
        idle_timeout_seconds=settings.gateway_idle_timeout_seconds,
        sweep_seconds=settings.gateway_sweep_seconds,
        stall_timeout_seconds=settings.gateway_stall_timeout_seconds,
    )


def _configured(topic: Topic[Any], settings: Settings) -> Topic[Any]:
    name = "signal_queue_key" if topic.name == "signals" else f"{topic.name}_key"
    return topic.configured(key=getattr(settings, name))


def _cut_dead_peers(listener: socket.socket, stall_timeout_seconds: float) -> None:
    """Let the kernel drop peers that acknowledge nothing for this long.

    Accepted sockets inherit the option from the listener.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # only on Linux
    if option is not None:
        listener.setsockopt(socket.IPPROTO_TCP, option, int(stall_timeout_seconds * 1000))
