"""Starts the order-executor."""

from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.factory import NAME, build
from streamdesk.runtime import run


def main() -> None:
    """Run until told to stop."""
    run(NAME, Settings, build)


if __name__ == "__main__":
    main()
