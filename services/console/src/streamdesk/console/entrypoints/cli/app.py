"""The command line as a whole: its commands, and how its errors look."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from streamdesk.console.entrypoints.cli.lazy import LazyCommand, PlainGroup
from streamdesk.console.errors import ConsoleError

if TYPE_CHECKING:
    from streamdesk.console.entrypoints.cli.up import RunDesk

PROGRAM = "streamdesk"
EXIT_INTERRUPTED = 130
KNOWN = (ConsoleError, typer.TyperException)
COMMANDS = {
    "up": "Bring the whole desk up on this machine, until Ctrl-C.",
    "status": "Show the processes of the desk that runs in this folder.",
    "down": "End the desk that runs in this folder.",
    "doctor": "Check a running installation, and say what to do about what is wrong.",
    "queue": "Watch a queue: what waits, what is pending, what failed, how fast it moves.",
    "bus": "Inspect the bus: lag, health, live and past traffic, dead letters.",
    "job": "Run a job of the desk once.",
    "news": "Fetch news once, follow it, and explain why an article passes.",
    "trading": "Halt, reduce and resume trading; cancel, close and settle orders; lift locks.",
    "ledger": "Show orders, fills, positions, equity and cash; check and export the books.",
    "alert": "Send a test alert the way that alerts take to people.",
}
"""All commands, and the first line of each one's help."""

app = PlainGroup(
    name=PROGRAM,
    help="Runs a trading desk on this machine, and looks inside one.",
    commands={name: LazyCommand(name, about) for name, about in COMMANDS.items()},
    no_args_is_help=True,
    rich_markup_mode=None,
)


def run(arguments: Sequence[str] | None, run_desk: "RunDesk") -> int:
    """Run one command; returns the exit code: 0 well, 1 failed, 2 called wrongly.

    Args:
        arguments: of the command line, without the program's name; None for the process's own.
        run_desk: brings a desk up.
    """
    try:
        code = app.main(arguments, PROGRAM, standalone_mode=False, obj=run_desk)
    except (typer.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except KNOWN as error:
        return _complain(error)
    return code if isinstance(code, int) else 0


def _complain(error: Exception) -> int:
    """Print an error as one line; returns the exit code."""
    message = _usage(error) if isinstance(error, typer.TyperException) else str(error)
    if message:
        sys.stderr.write(f"{PROGRAM}: {' '.join(message.split())}\n")
    return int(getattr(error, "exit_code", 1))


def _usage(error: typer.TyperException) -> str:
    """What is wrong with the call, in one line; empty where its help was wanted."""
    said, context = error.format_message().strip(), getattr(error, "ctx", None)
    # A group without a command fails with its help as the message.
    if context is not None and said == context.get_help().strip():
        sys.stdout.write(f"{said}\n")
        return ""
    return f"{said.rstrip('.')}; see `{context.command_path if context else PROGRAM} --help`"
