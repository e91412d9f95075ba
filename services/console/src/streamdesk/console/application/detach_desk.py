"""Runs a desk in the background: the same command again, in a session of its own."""

import subprocess
import sys
import time
from collections.abc import Sequence

from streamdesk.console.adapters.folder import Folder
from streamdesk.console.adapters.log_reader import last_line
from streamdesk.console.domain.state import DeskState
from streamdesk.console.errors import DeskFailedError

POLL_SECONDS = 0.1
DETACH_SECONDS = 60.0


def detach_desk(folder: Folder, arguments: Sequence[str]) -> DeskState:
    """Start the desk; returns its state once it is up.

    Args:
        folder: of the desk.
        arguments: of the command that runs it, without `--detach`.

    Raises:
        DeskRunningError: a desk runs there already.
        DeskFailedError: it ended, or is not up in time.
    """
    with folder.held():
        pass  # raised here, and not only in the log of the background process
    folder.forget()
    with folder.up_log.open("wb") as log:
        child = subprocess.Popen(  # noqa: S603 - this very command again
            [sys.executable, "-m", "streamdesk.console", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return _wait_until_up(folder, child)


def _wait_until_up(folder: Folder, child: subprocess.Popen[bytes]) -> DeskState:
    deadline = time.monotonic() + DETACH_SECONDS
    while True:
        state = folder.read()
        if state and state.pid == child.pid and state.status == "up":
            return state
        if child.poll() is not None:
            words = last_line(folder.up_log).removeprefix("streamdesk: ")
            raise DeskFailedError(words)
        if time.monotonic() > deadline:
            raise DeskFailedError(
                f"the desk is not up after {DETACH_SECONDS:g} s; see `streamdesk status` "
                f"and {folder.up_log}"
            )
        time.sleep(POLL_SECONDS)
