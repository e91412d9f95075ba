"""A job as a process of its own: what it says line by line, and how it ended."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from streamdesk.console.errors import ConsoleError, UsageError

Line = dict[str, Any]
END_SECONDS = 10.0
EXIT_USAGE = 2


def run_job(
    arguments: Sequence[str], environment: Mapping[str, str], on_line: Callable[[Line], None]
) -> Line:
    """Run `python -m` with these arguments until it ends; return its last line, the report.

    Args:
        arguments: the module and its own arguments.
        environment: on top of ours.
        on_line: told of every JSON line.

    Raises:
        UsageError: it was called in a way that cannot work; the message is its own.
        ConsoleError: it failed; the message is its own.
        KeyboardInterrupt: Ctrl-C, after the job has ended as well.
    """
    last: Line = {}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        job = subprocess.Popen(  # noqa: S603 - a module of ours
            [sys.executable, "-m", *arguments],
            env=os.environ | dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            for text in job.stdout or ():
                last = json.loads(text)
                on_line(last)
        finally:
            code = _ended(job)
        if last.get("kind") == "report":
            return last
        errors.seek(0)
        words = errors.read().strip().splitlines()
    problem = words[-1].partition(": ")[2] or words[-1] if words else f"it ended with code {code}"
    raise (UsageError if code == EXIT_USAGE else ConsoleError)(f"the job cannot run: {problem}")


def _ended(job: "subprocess.Popen[str]") -> int:
    """The exit code; Ctrl-C has reached the job, too, and it ends by itself."""
    if job.stdout is not None:
        job.stdout.close()
    try:
        return job.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        job.kill()
        return job.wait()
