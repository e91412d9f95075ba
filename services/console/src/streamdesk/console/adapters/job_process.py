"""A job as a process of its own."""

from collections.abc import Callable, Mapping, Sequence

from streamdesk.console.adapters.service_command import Line, run_child


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
    ended = run_child(arguments, environment, on_line)
    if ended.last.get("kind") == "report":
        return ended.last
    raise ended.error("the job")
