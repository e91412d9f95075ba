"""The desk's folder: its paths, its lock, and the state of the desk in it."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from streamdesk.console.domain.state import DeskState
from streamdesk.console.errors import DeskRunningError, NoDeskError, UsageError

OURS = ("logs", "redis", "ledger", "bars", "state.json", "run")


class Folder:
    """A desk's data on disk.

    Args:
        root: the folder; made when it is needed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.logs = self.root / "logs"
        self.redis = self.root / "redis"
        self.ledger = self.root / "ledger"
        self.bars = self.root / "bars"
        self.programs = self.root / "bin"
        self.up_log = self.root / "up.log"
        self._state = self.root / "state.json"
        self._run = self.root / "run"
        self._lock = self.root / "lock"

    def log(self, name: str) -> Path:
        """The log of one process."""
        return self.logs / f"{name}.log"

    def make(self) -> None:
        """Create the folders, for the owner alone.

        Raises:
            UsageError: that is not possible there.
        """
        try:
            for path in (self.root, self.logs, self.redis, self.ledger, self.bars):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"cannot use the folder {self.root}: {error.strerror}; name another with --data"
            ) from error

    def run_name(self) -> str:
        """Names what is played in this folder, until it is wiped."""
        if not self._run.exists():
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._run.write_text(secrets.token_hex(6), encoding="ascii")
        return self._run.read_text(encoding="ascii")

    def wipe(self) -> None:
        """Delete what earlier runs left; nothing else that may lie in the folder."""
        for name in OURS:
            path = self.root / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Iterator[int]:
        """Hold the folder; yields the lock's file descriptor.

        A process that inherits the descriptor holds the folder as well.

        Raises:
            DeskRunningError: a desk runs here.
        """
        self.make()
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DeskRunningError(self._holder()) from None
            yield descriptor
        finally:
            os.close(descriptor)

    def is_held(self) -> bool:
        """Whether a desk runs here, or its last processes are still ending."""
        if not self._lock.exists():
            return False
        try:
            with self.held():
                return False
        except DeskRunningError:
            return True

    def write(self, state: DeskState) -> None:
        """Replace the state in one step: a reader sees the old one or the new one."""
        part = self._state.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(state.model_dump_json(indent=1))
        part.replace(self._state)

    def forget(self) -> None:
        """Remove the state: no desk runs here any more."""
        self._state.unlink(missing_ok=True)

    def read(self) -> DeskState | None:
        """The state last written, whether the desk still runs or not."""
        try:
            return DeskState.model_validate_json(self._state.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def running(self) -> DeskState:
        """The state of the desk that runs here.

        Raises:
            NoDeskError: none does.
        """
        state = self.read()
        if state is None or not self.is_held():
            raise NoDeskError(f"no desk runs in {self.root}; start one with `streamdesk up`")
        return state

    def _holder(self) -> str:
        state = self.read()
        holder = f" (process {state.pid}, page {state.page})" if state else ""
        return (
            f"a desk already runs in {self.root}{holder}; end it with `streamdesk down`, "
            "or name another folder with --data"
        )


def shown(path: Path) -> str:
    """A path as a person would write it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
