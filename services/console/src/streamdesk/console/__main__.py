"""Starts the `streamdesk` command."""

import sys

from streamdesk.console.entrypoints.cli.app import run


def main() -> None:
    """Run the command the process was called with."""
    sys.exit(run())


if __name__ == "__main__":
    main()
