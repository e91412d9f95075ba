"""Starts the order-executor, or runs one of its commands."""

import sys

from streamdesk.order_executor.config import NAME, Settings
from streamdesk.order_executor.entrypoints.cli.app import Openers, run_command
from streamdesk.order_executor.entrypoints.cli.ledger import LedgerReaders
from streamdesk.order_executor.factory import (
    book_check_of,
    build,
    inspector_of,
    listing_of,
    open_executor,
    open_loss_limits,
    open_trading,
)
from streamdesk.runtime import run


def main() -> None:
    """Run until a signal stops it; a command just ends."""
    openers = Openers(
        open_trading,
        open_executor,
        open_loss_limits,
        inspector_of,
        LedgerReaders(listing_of, book_check_of),
    )
    code = run_command(sys.argv[1:], openers)
    if code is not None:
        sys.exit(code)
    run(NAME, Settings, build)


if __name__ == "__main__":
    main()
