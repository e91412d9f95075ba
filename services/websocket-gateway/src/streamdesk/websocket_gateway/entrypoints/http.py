"""The HTTP API: figures of the gateway, the lag of each group, and sends of clients."""

from typing import Literal

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from streamdesk.contracts.base import JsonObject
from streamdesk.websocket_gateway.adapters.tokens import TokenVerifier, token_of
from streamdesk.websocket_gateway.application.gateway import Gateway
from streamdesk.websocket_gateway.application.read_lag import LagView
from streamdesk.websocket_gateway.domain.access import ChannelAccess
from streamdesk.websocket_gateway.errors import AccessError, SendError


class PublishBody(BaseModel):
    """The body of a send: an event that goes to sockets directly, without the bus."""

    model_config = ConfigDict(extra="forbid")

    event: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_.\-]{0,99}$", description="Name of the event.")
    data: JsonObject = Field(default_factory=dict, description="What happened.")


class HttpRoutes:
    """The routes of the API and what they need.

    Args:
        gateway: sends and figures.
        verifier: checks tokens.
        lag: each group's lag.
    """

    def __init__(self, gateway: Gateway, verifier: TokenVerifier, lag: LagView) -> None:
        self._gateway = gateway
        self._verifier = verifier
        self._lag = lag

    def mount(self, app: FastAPI) -> None:
        """Add the routes, the answers to errors, and the bound of bodies to the application."""
        router = APIRouter()
        router.add_api_route("/ws/stats", self.stats)
        router.add_api_route("/ws/channels", self.channels)
        router.add_api_route("/api/lag", self.lag)
        router.add_api_route("/api/publish/{target}/{name}", self.publish, methods=["POST"])
        app.include_router(router)
        app.add_exception_handler(AccessError, _refused)
        app.add_exception_handler(SendError, _refused)
        app.add_middleware(BodyLimit, max_bytes=self._gateway.connections.limits.max_message_bytes)

    async def stats(self, request: Request) -> JsonObject:
        """Figures of this process."""
        self._verifier.verify(token_of(request))
        return self._gateway.stats()

    async def channels(self, request: Request) -> JsonObject:
        """Channels with subscribers, and how many."""
        self._verifier.verify(token_of(request))
        return {"channels": self._gateway.hub.channels()}

    async def lag(self, request: Request) -> JsonObject:
        """Each group's lag."""
        self._verifier.verify(token_of(request))
        return await self._lag.read()

    async def publish(
        self,
        request: Request,
        target: Literal["channel", "user", "connection"],
        name: str,
        body: PublishBody,
    ) -> JsonObject:
        """Send an event to a channel, a user or a connection."""
        _allow_publish(self._verifier.verify(token_of(request)))
        send = {
            "channel": self._gateway.send.to_channel,
            "user": self._gateway.send.to_user,
            "connection": self._gateway.send.to_connection,
        }[target]
        return {"delivered": send(name, body.event, body.data)}


def _allow_publish(access: ChannelAccess) -> None:
    if not access.may_publish:
        raise AccessError(
            "the token may not publish: its claim publish is not true",
            code="publish-forbidden",
            status=403,
        )


async def _refused(_request: HTTPConnection, error: Exception) -> JSONResponse:
    assert isinstance(error, AccessError | SendError)  # noqa: S101 - registered for these two only
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None  # noqa: PLR2004 - HTTP
    return JSONResponse({"code": error.code, "message": str(error)}, error.status, headers)


class BodyLimit:
    """Refuses a request body that is too long, or whose length is not declared.

    Args:
        app: the application behind it.
        max_bytes: longest body.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            length = HTTPConnection(scope).headers.get("content-length", "")
            # Without a length the body would have to be read to find out how long it is.
            if not length.isdecimal():
                await Response("Content-Length is required", 411)(scope, receive, send)
                return
            if int(length) > self._max_bytes:
                text = f"the body has {length} bytes, {self._max_bytes} are allowed"
                await Response(text, 413)(scope, receive, send)
                return
        await self._app(scope, receive, send)
