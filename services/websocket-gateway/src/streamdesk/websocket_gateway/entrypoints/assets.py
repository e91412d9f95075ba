"""The page's files: ours from `page/`, the charting library from the wheel that ships it."""

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamdesk.websocket_gateway.errors import AssetMissingError

PAGE = Path(__file__).parent / "page"
LIBRARY = "lightweight-charts.js"

# Scripts, styles and sockets of this origin alone. The charting library sets styles through the
# DOM, which this allows; nothing on the page is written as HTML.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def mount_page(app: FastAPI) -> None:
    """Add the page to the application, and the security headers to all its answers.

    Raises:
        AssetMissingError: the charting library is not installed; better now than in a browser.
    """
    charting_library()
    router = APIRouter()
    router.add_api_route("/", _page, include_in_schema=False)
    router.add_api_route("/vendor/{name}", _vendor, include_in_schema=False)
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=PAGE))
    app.add_middleware(SecurityHeaders)


def charting_library() -> Path:
    """TradingView's lightweight-charts, out of the wheel `lightweight-charts`.

    The wheel is found, not imported: its Python code needs packages that the gateway does not use.

    Raises:
        AssetMissingError: the wheel is not installed, or no longer ships the file.
    """
    spec = find_spec("lightweight_charts")
    places = (spec.submodule_search_locations or []) if spec else []
    for place in places:
        script = Path(place) / "js" / LIBRARY
        if script.is_file():
            return script
    raise AssetMissingError(
        f"{LIBRARY} is not found; install the package lightweight-charts (see make init)"
    )


async def _page() -> FileResponse:
    return FileResponse(PAGE / "index.html")


async def _vendor(name: str) -> Response:
    if name != LIBRARY:
        return Response(status_code=404)
    return FileResponse(charting_library(), media_type="text/javascript")


class SecurityHeaders:
    """Adds the security headers to every HTTP answer.

    Args:
        app: the application behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
