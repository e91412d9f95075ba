"""Ends the desk that runs in a folder, from another process."""

import os
import signal
import time

from streamdesk.console.adapters.folder import Folder
from streamdesk.console.config import STOP_SECONDS
from streamdesk.console.errors import ConsoleError

POLL_SECONDS = 0.1
DOWN_SECONDS = STOP_SECONDS + 5  # it ends within its own limit, unless the machine is busy


def end_desk(folder: Folder) -> None:
    """End it with SIGTERM; if it does not end in time, with SIGKILL.

    Args:
        folder: of the desk.

    Raises:
        NoDeskError: no desk runs there.
        ConsoleError: it does not end, or belongs to another user.
    """
    state = folder.running()
    # After a SIGKILL the desk's watchdog ends the services.
    for number in (signal.SIGTERM, signal.SIGKILL):
        if _ends(folder, state.pid, number):
            return
    raise ConsoleError(f"process {state.pid} does not end; see {folder.logs}")


def _ends(folder: Folder, pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # the desk has ended, and its watchdog is still ending the services
    except PermissionError:
        raise ConsoleError(f"process {pid} belongs to another user; ask them to end it") from None
    deadline = time.monotonic() + DOWN_SECONDS
    while folder.is_held():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
