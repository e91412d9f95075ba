"""The endpoint `/ws/events`: a handshake in, a served connection or a refusal out."""

from contextlib import suppress
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import Response

from streamdesk.websocket_gateway.adapters.tokens import TokenVerifier, subprotocols_of, token_of
from streamdesk.websocket_gateway.application.gateway import Gateway
from streamdesk.websocket_gateway.domain import protocol
from streamdesk.websocket_gateway.domain.closing import close_code_of
from streamdesk.websocket_gateway.errors import AccessError

RETRY_AFTER_SECONDS = 5
MAX_REASON = 100  # RFC 6455 allows 123 bytes in a close frame


class SocketRoute:
    """The route of the sockets and what it needs.

    Args:
        gateway: serves accepted sockets.
        verifier: checks tokens.
        allowed_origins: other sites whose pages may open sockets; `*` for all.
    """

    def __init__(
        self, gateway: Gateway, verifier: TokenVerifier, allowed_origins: tuple[str, ...] = ()
    ) -> None:
        self._gateway = gateway
        self._verifier = verifier
        self._origins = frozenset(origin.rstrip("/").lower() for origin in allowed_origins)

    def mount(self, app: FastAPI) -> None:
        """Add the route to the application."""
        router = APIRouter()
        router.add_api_websocket_route("/ws/events", self.events)
        app.include_router(router)

    async def events(self, socket: WebSocket) -> None:
        """`/ws/events?token=&channels=a,b`."""
        if not self._may_come_from(socket):
            await socket.send_denial_response(Response("origin not allowed", 403))
            return
        if self._gateway.connections.full:
            retry = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            await socket.send_denial_response(Response("full or shutting down", 503, retry))
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
                await socket.close(close_code_of(error), str(error)[:MAX_REASON])
            return
        names = socket.query_params.get("channels", "").split(",")
        channels = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
        await self._gateway.serve.run(socket, access, channels)

    def _may_come_from(self, socket: WebSocket) -> bool:
        """Whether the page that opens the socket is ours or of an allowed site.

        Browsers let every page open sockets to every host, so the server has to check.
        """
        origin = socket.headers.get("origin")
        # Only browsers send an origin; programs are held by the token alone.
        if origin is None or "*" in self._origins or origin.lower() in self._origins:
            return True
        return urlsplit(origin).netloc.lower() == socket.headers.get("host", "").lower()
