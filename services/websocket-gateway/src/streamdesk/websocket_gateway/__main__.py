"""Starts the gateway."""

from streamdesk.runtime import run
from streamdesk.websocket_gateway.config import Settings
from streamdesk.websocket_gateway.factory import build


def main() -> None:
    """Run until a signal stops it."""
    run("websocket-gateway", Settings, build)


if __name__ == "__main__":
    main()
