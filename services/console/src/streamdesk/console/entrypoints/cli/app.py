"""The command line as a whole: its commands, and how its errors look."""

import sys
from collections.abc import Sequence

import typer

from streamdesk.bus import BusConfigError, BusUnavailableError
from streamdesk.console.entrypoints.cli import alert, bus, doctor, job, news, queue, trading
from streamdesk.console.entrypoints.cli import up as desk
from streamdesk.console.errors import ConsoleError, UsageError

PROGRAM = "streamdesk"
EXIT_INTERRUPTED = 130
KNOWN = (ConsoleError, BusConfigError, BusUnavailableError, typer.TyperException)

app = typer.Typer(
    name=PROGRAM,
    help="Runs a trading desk on this machine, and looks inside one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("up")(desk.up)
app.command("status")(desk.status)
app.command("down")(desk.down)
app.command("doctor")(doctor.doctor)
app.command("queue")(queue.queue)
app.add_typer(bus.app, name="bus")
app.add_typer(job.app, name="job")
app.add_typer(news.app, name="news")
app.add_typer(trading.app, name="trading")
app.add_typer(alert.app, name="alert")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 well, 1 failed, 2 called wrongly.

    Args:
        arguments: of the command line, without the program's name; None for the process's own.
    """
    try:
        code = app(args=arguments, prog_name=PROGRAM, standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except KNOWN as error:
        return _complain(error)
    return code if isinstance(code, int) else 0


def _complain(error: Exception) -> int:
    """Print an error as one line; returns the exit code."""
    message, code = str(error), getattr(error, "exit_code", 1)
    if isinstance(error, typer.TyperException):
        message = _usage(error)
    elif isinstance(error, BusConfigError):
        code = UsageError.exit_code
    elif isinstance(error, BusUnavailableError):
        message = f"Redis does not answer ({error}); is the server up?"
    if message:
        sys.stderr.write(f"{PROGRAM}: {' '.join(message.split())}\n")
    return int(code)


def _usage(error: typer.TyperException) -> str:
    said = error.format_message().strip().rstrip(".")
    if not said:  # called without a command: the help was shown
        return ""
    context = getattr(error, "ctx", None)
    return f"{said}; see `{context.command_path if context else PROGRAM} --help`"
