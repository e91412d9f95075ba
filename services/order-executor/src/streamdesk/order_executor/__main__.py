"""Starts the order-executor, or brings its tables up to date and ends."""

import sys

from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.factory import NAME, build
from streamdesk.order_executor.migrate import migrate
from streamdesk.runtime import run


def main() -> None:
    """Run until told to stop; with the argument `migrate`, until the tables are up to date."""
    if sys.argv[1:] == ["migrate"]:
        sys.exit(migrate())
    run(NAME, Settings, build)


if __name__ == "__main__":
    main()
