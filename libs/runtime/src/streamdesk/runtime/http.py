"""HTTP inside a service's own event loop: uvicorn that leaves the signals to the process."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Generator
from typing import Literal

import uvicorn
from starlette.types import ASGIApp

from streamdesk.runtime.drain import Drain
from streamdesk.runtime.errors import BadSettingError


class _Server(uvicorn.Server):
    """uvicorn would take SIGTERM and SIGINT for itself; here the drain decides."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def listen(host: str, port: int, setting: str) -> socket.socket:
    """A listening socket.

    Args:
        host: address to listen on.
        port: port, 0 for any free.
        setting: environment variable that gave the port, for the error.

    Raises:
        BadSettingError: the port is taken or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        expected = f"a port that can be listened on at {host} ({reason}); 0 takes any free"
        raise BadSettingError(setting, port, expected) from error


async def serve_http(
    app: ASGIApp,
    listener: socket.socket,
    drain: Drain,
    *,
    close_seconds: int = 2,
    websockets: Literal["auto", "none"] = "auto",
    websocket_max_bytes: int = 65_536,
    behind_proxy: bool = True,
) -> None:
    """Serve an ASGI application until the drain is requested; then close every connection.

    Args:
        app: the application.
        listener: from `listen`; closed at the end.
        drain: when to stop.
        close_seconds: how long requests in flight may take to end.
        websockets: `none` where the application has none.
        websocket_max_bytes: longest message a socket may send; beyond, it is closed with 1009.
        behind_proxy: whether a local proxy may name the client; an application
            that never asks spares a step a request.
    """
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            ws=websockets,
            ws_max_size=websocket_max_bytes,
            ws_per_message_deflate=False,  # costs tens of KiB a socket and a third of the speed
            lifespan="off",
            proxy_headers=behind_proxy,
            timeout_graceful_shutdown=close_seconds,
        )
    )

    async def stop() -> None:
        await drain.requested.wait()
        server.should_exit = True

    stopper = asyncio.create_task(stop())
    try:
        await server.serve(sockets=[listener])
    finally:
        stopper.cancel()
        listener.close()
