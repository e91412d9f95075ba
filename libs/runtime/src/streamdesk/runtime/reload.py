"""Development only: runs the service out of a folder of sources, again whenever one changes.

An image's own packages belong to root on a read-only file system. So they are copied once into a
folder that can be written, and the service runs from there: what a developer saves is copied into
the folder (skaffold's file sync, kubectl cp), and seconds later the service runs with it.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import streamdesk
from streamdesk.runtime.errors import BadSettingError
from streamdesk.runtime.logs import logger

VARIABLE = "DEV_RELOAD_FOLDER"
SEEDED = ".seeded"
POLL_SECONDS = 0.2  # some hundred files: a look costs a millisecond
RESTART_SECONDS = 5.0  # after the service ended by itself, as when its database was not there yet
SHOWN_CHANGES = 5
KILLED_BASE = 128
COMPILED = "__pycache__"

Snapshot = dict[str, tuple[int, int]]
log = logger(__name__)


def reload_folder() -> Path | None:
    """The folder to run from, where `DEV_RELOAD_FOLDER` names one."""
    name = os.environ.get(VARIABLE)
    return Path(name) if name else None


def seed(folder: Path) -> None:
    """Copy all installed packages of the project into the folder, unless that was done before.

    A container that is started again keeps what was changed. Times are kept, so the compiled
    modules stay valid.

    Raises:
        BadSettingError: the folder cannot be written.
    """
    try:
        if (folder / SEEDED).exists():
            return
        for part in streamdesk.__path__:
            shutil.copytree(part, folder / "streamdesk", dirs_exist_ok=True)
        (folder / SEEDED).touch()
    except OSError as error:
        raise BadSettingError(
            VARIABLE, str(folder), f"a folder that can be written ({error})"
        ) from error


def snapshot(folder: Path) -> Snapshot:
    """Time and size of each source and data file in the folder."""
    found: Snapshot = {}
    for place, folders, names in os.walk(folder):
        if COMPILED in folders:
            folders.remove(COMPILED)
        for name in names:
            path = f"{place}/{name}"
            try:
                status = os.stat(path)  # noqa: PTH116 - a Path each, five times a second, adds up
            except FileNotFoundError:
                continue  # gone since it was listed
            found[path] = (status.st_mtime_ns, status.st_size)
    return found


def changes(before: Snapshot, after: Snapshot) -> list[str]:
    """Files that came, went or changed."""
    return sorted(
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    )


class Reloader:
    """One service as a child process, ended and started again with each change.

    Args:
        folder: holds the sources; seeded.
        command: what starts the service.
    """

    def __init__(self, folder: Path, command: list[str]) -> None:
        self._folder = folder
        self._command = command
        self._stopping = False

    def run(self) -> int:
        """Run until told to stop by SIGTERM or SIGINT; returns the service's exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        code = 0
        while not self._stopping:
            seen = snapshot(self._folder)
            child = self._start()
            changed = self._wait_for_change(child, seen)
            if changed:
                log.info("sources changed", files=changed[:SHOWN_CHANGES], count=len(changed))
            code = _end(child)
        return code

    def _start(self) -> subprocess.Popen[bytes]:
        before = os.environ.get("PYTHONPATH")
        path = f"{self._folder}{os.pathsep}{before}" if before else str(self._folder)
        # Without the variable the child is the service itself.
        variables = {**os.environ, "PYTHONPATH": path, VARIABLE: ""}
        return subprocess.Popen(self._command, env=variables)  # noqa: S603 - our own command line

    def _wait_for_change(self, child: subprocess.Popen[bytes], seen: Snapshot) -> list[str]:
        """Wait for a change that is complete, or a stop, or until an ended child may run again."""
        rest_seconds = RESTART_SECONDS
        before = seen
        while not self._stopping and rest_seconds > 0:
            time.sleep(POLL_SECONDS)
            after = snapshot(self._folder)
            changed = changes(seen, after)
            if changed and after == before:  # a sync of many files restarts once
                return [os.path.relpath(path, self._folder) for path in changed]
            before = after
            if child.poll() is not None:
                rest_seconds -= POLL_SECONDS
        return []

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stopping = True


def _end(child: subprocess.Popen[bytes]) -> int:
    """Let the child drain; returns its exit code, as a shell would tell it."""
    if child.poll() is None:
        child.terminate()
    code = child.wait()
    return code if code >= 0 else KILLED_BASE - code


def run_and_reload(folder: Path) -> int:
    """Run this very command line as a child, from the folder; see the top of this module.

    Args:
        folder: kept as it is when it was seeded before.

    Raises:
        BadSettingError: the folder cannot be written.
    """
    seed(folder)
    return Reloader(folder, sys.orig_argv).run()
