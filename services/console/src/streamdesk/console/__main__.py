"""Starts the `streamdesk` command."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from streamdesk.console.entrypoints.cli import app

if TYPE_CHECKING:
    from rich.console import Console

    from streamdesk.console.domain.counts import Result
    from streamdesk.console.domain.up_options import UpOptions


async def run_desk(options: "UpOptions", console: "Console") -> "Result":
    """Bring a desk up, watch it, end it.

    Raises:
        ConsoleError: it cannot run; one line says why.
    """
    from streamdesk.console import factory  # noqa: PLC0415 - half a second that only `up` needs

    return await factory.run_desk(options, console)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 well, 1 failed, 2 called wrongly.

    Args:
        arguments: of the command line, without the program's name; None for the process's own.
    """
    return app.run(arguments, run_desk)


def main() -> None:
    """Run the command the process was called with."""
    sys.exit(run())


if __name__ == "__main__":
    main()
