"""The page's files: ours from this package, the charting library from the wheel that ships it."""

from importlib.util import find_spec
from pathlib import Path

from streamdesk.websocket_gateway.errors import AssetMissingError

PAGE = Path(__file__).parent / "page"

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


def charting_library() -> Path:
    """TradingView's lightweight-charts, out of the wheel `lightweight-charts`.

    The wheel is found, not imported: its Python code needs packages that nobody here wants.

    Raises:
        AssetMissingError: the wheel is not installed, or ships the file no more.
    """
    spec = find_spec("lightweight_charts")
    places = (spec.submodule_search_locations or []) if spec else []
    for place in places:
        script = Path(place) / "js" / "lightweight-charts.js"
        if script.is_file():
            return script
    raise AssetMissingError(
        "lightweight-charts.js is not found; install the package lightweight-charts (see make init)"
    )
