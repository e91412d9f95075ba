"""HTTP and WebSocket in, gateway's words out."""

from contextlib import suppress
from typing import Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamdesk.contracts.base import JsonObject
from streamdesk.websocket_gateway.adapters.tokens import TokenVerifier, subprotocols_of, token_of
from streamdesk.websocket_gateway.application.gateway import Gateway
from streamdesk.websocket_gateway.application.read_lag import LagView
from streamdesk.websocket_gateway.domain import protocol
from streamdesk.websocket_gateway.domain.access import ChannelAccess
from streamdesk.websocket_gateway.domain.closing import close_code_of
from streamdesk.websocket_gateway.entrypoints import assets
from streamdesk.websocket_gateway.errors import AccessError, SendError

RETRY_AFTER_SECONDS = 5


class PublishBody(BaseModel):
    """An event to be sent to sockets directly, past the bus."""

    model_config = ConfigDict(extra="forbid")

    event: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_.\-]{0,99}$", description="Name of the event.")
    data: JsonObject = Field(default_factory=dict, description="What happened.")


class HttpRoutes:
    """The routes and what they need.

    Args:
        gateway: sockets and sends.
        verifier: checks tokens.
        lag: each group's lag.
        allowed_origins: other sites whose pages may open sockets; `*` for all.
    """

    def __init__(
        self,
        gateway: Gateway,
        verifier: TokenVerifier,
        lag: LagView,
        allowed_origins: tuple[str, ...] = (),
    ) -> None:
        self._gateway = gateway
        self._verifier = verifier
        self._lag = lag
        self._origins = frozenset(origin.rstrip("/").lower() for origin in allowed_origins)

    def mount(self, app: FastAPI) -> None:
        """Add everything to the application."""
        router = APIRouter()
        router.add_api_websocket_route("/ws/events", self.events)
        router.add_api_route("/ws/stats", self.stats)
        router.add_api_route("/ws/channels", self.channels)
        router.add_api_route("/api/lag", self.lag)
        router.add_api_route("/api/publish/{target}/{name}", self.publish, methods=["POST"])
        router.add_api_route("/", self.page, include_in_schema=False)
        router.add_api_route("/vendor/{name}", self.vendor, include_in_schema=False)
        app.include_router(router)
        app.mount("/static", StaticFiles(directory=assets.PAGE))
        app.add_exception_handler(AccessError, _refused)
        app.add_exception_handler(SendError, _refused)
        app.add_middleware(SecurityHeaders)
        app.add_middleware(BodyLimit, max_bytes=self._gateway.connections.limits.max_message_bytes)

    async def events(self, socket: WebSocket) -> None:
        """`/ws/events?token=&channels=a,b`."""
        if not self._may_come_from(socket):
            await socket.send_denial_response(Response("origin not allowed", 403))
            return
        if self._gateway.connections.full:
            retry = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            await socket.send_denial_response(Response("full or going down", 503, retry))
            return
        offered = subprotocols_of(socket)
        ours = protocol.SUBPROTOCOL if protocol.SUBPROTOCOL in offered else None
        await socket.accept(subprotocol=ours)
        try:
            access = self._verifier.verify(token_of(socket))
        except AccessError as error:
            # After the accept: a browser shows its page neither status nor body of a refusal.
            with suppress(WebSocketDisconnect):
                await socket.send_text(protocol.error(error.code, str(error)))
                await socket.close(close_code_of(error), str(error)[:100])
            return
        names = socket.query_params.get("channels", "").split(",")
        channels = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
        await self._gateway.serve.run(socket, access, channels)

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
        self._allow_publish(self._verifier.verify(token_of(request)))
        send = {
            "channel": self._gateway.send.to_channel,
            "user": self._gateway.send.to_user,
            "connection": self._gateway.send.to_connection,
        }[target]
        return {"delivered": send(name, body.event, body.data)}

    async def page(self) -> FileResponse:
        """The dashboard."""
        return FileResponse(assets.PAGE / "index.html")

    async def vendor(self, name: str) -> Response:
        """The charting library."""
        if name != "lightweight-charts.js":
            return Response(status_code=404)
        return FileResponse(assets.charting_library(), media_type="text/javascript")

    def _may_come_from(self, socket: WebSocket) -> bool:
        """Browsers send sockets anywhere; only our own page and named sites may use this one."""
        origin = socket.headers.get("origin")
        if origin is None or "*" in self._origins or origin.lower() in self._origins:
            return True
        return urlsplit(origin).netloc.lower() == socket.headers.get("host", "").lower()

    def _allow_publish(self, access: ChannelAccess) -> None:
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


class SecurityHeaders:
    """Adds the security headers to every HTTP answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in assets.SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


class BodyLimit:
    """Refuses a request body that is too long, or does not say how long it is.

    Args:
        app: what is behind.
        max_bytes: longest body.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            length = HTTPConnection(scope).headers.get("content-length", "")
            if not length.isdecimal():
                await Response("Content-Length is needed", 411)(scope, receive, send)
                return
            if int(length) > self._max_bytes:
                text = f"the body has {length} bytes, {self._max_bytes} are allowed"
                await Response(text, 413)(scope, receive, send)
                return
        await self._app(scope, receive, send)
