"""Commands of services, each run as a process: the lines it prints, and how it ended."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streamdesk.console.errors import ConsoleError, UsageError

Line = dict[str, Any]
END_SECONDS = 10.0
EXIT_USAGE = 2


@dataclass(frozen=True, slots=True)
class EndedCommand:
    """How a process ended.

    Attributes:
        last: its last line; empty when it printed none.
        code: its exit code.
        problem: its last words on standard error, without its name; else its exit code in words.
    """

    last: Line
    code: int
    problem: str

    def error(self, what: str, do: str = "run") -> ConsoleError:
        """The error to end with where it did not do what was wanted.

        Args:
            what: as a person calls it, as in `the job`.
            do: what it cannot do.
        """
        kind = UsageError if self.code == EXIT_USAGE else ConsoleError
        return kind(f"{what} cannot {do}: {self.problem}")


def run_service_command(
    arguments: Sequence[str], environment: Mapping[str, str], on_line: Callable[[Line], None]
) -> EndedCommand:
    """Run `python -m` with these arguments until it ends.

    Args:
        arguments: the module and its own arguments.
        environment: on top of ours.
        on_line: called with every line; each is one JSON object.

    Raises:
        KeyboardInterrupt: Ctrl-C, after the process has ended as well.
    """
    last: Line = {}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        child = subprocess.Popen(  # noqa: S603 - a module of ours
            [sys.executable, "-m", *arguments],
            env=os.environ | dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
        )
        try:
            for text in child.stdout or ():
                last = json.loads(text)
                on_line(last)
        finally:
            code = _ended(child)
        errors.seek(0)
        words = errors.read().strip().splitlines()
    problem = words[-1].partition(": ")[2] or words[-1] if words else f"it ended with code {code}"
    return EndedCommand(last, code, problem.removeprefix("error: "))


def run_job(
    arguments: Sequence[str], environment: Mapping[str, str], on_line: Callable[[Line], None]
) -> Line:
    """Run `python -m` with these arguments until it ends; return its last line, the report.

    Args:
        arguments: the module and its own arguments.
        environment: on top of ours.
        on_line: called with every line.

    Raises:
        UsageError: it was called with invalid arguments; the message is its own.
        ConsoleError: it failed; the message is its own.
        KeyboardInterrupt: Ctrl-C, after the job has ended as well.
    """
    ended = run_service_command(arguments, environment, on_line)
    if ended.last.get("kind") == "report":
        return ended.last
    raise ended.error("the job")


def _ended(child: "subprocess.Popen[str]") -> int:
    """The exit code; Ctrl-C has reached the process, too, and it ends by itself."""
    if child.stdout is not None:
        child.stdout.close()
    try:
        return child.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()
