"""Starts the order-executor, brings its tables up to date, looks at them, or halts trading."""

import sys

from streamdesk.order_executor.application.inspect_ledger import inspect
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.entrypoints.cli import COMMANDS, trading
from streamdesk.order_executor.factory import NAME, build
from streamdesk.order_executor.migrate import migrate
from streamdesk.runtime import run


def main() -> None:
    """Run until told to stop; `migrate`, `inspect` and the kill switch's commands just end."""
    if sys.argv[1:] == ["migrate"]:
        sys.exit(migrate())
    if sys.argv[1:] == ["inspect"]:
        sys.exit(inspect())
    if sys.argv[1:2] and sys.argv[1] in COMMANDS:
        sys.exit(trading(sys.argv[1:]))
    run(NAME, Settings, build)


if __name__ == "__main__":
    main()
