"""Files that are complete or absent, whichever process is killed and when.

A file is written beside its place under a temporary name that no reader looks at, synced to disk,
and renamed; then the folder is synced, too. Its writer holds a lock on it meanwhile. The kernel
releases the lock when a process dies, so a temporary file that is not locked was left behind by a
crash.
"""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from streamdesk.market.errors import StoreError

WRITING = ".writing-"
"""Prefix of the name of a file that is being written."""

_ATTEMPTS = 100


def write_durably(path: Path, content: bytes) -> None:
    """Write a file, or replace it, in one step; on disk when this returns.

    Missing folders are made.

    Raises:
        StoreError: it cannot be written; its place is empty or holds the previous file.
    """
    try:
        for _ in range(_ATTEMPTS):
            make_folder(path.parent)
            with contextlib.suppress(FileNotFoundError):  # the folder was removed meanwhile
                if _write(path, content):
                    return
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error}; check that the disk has room and that its folder "
            "may be written to"
        ) from error
    raise StoreError(
        f"{path} cannot be written: its folder is removed repeatedly; find out by which process"
    )


def _write(path: Path, content: bytes) -> bool:
    """Whether it is written; not if a clean-up took the file for one left behind."""
    temporary = path.with_name(f"{WRITING}{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink == 0:
            return False
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.fsync(descriptor)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    sync_folder(path.parent)
    return True


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each on disk when this returns.

    Raises:
        OSError: it cannot be made.
    """
    try:
        folder.mkdir()
    except FileExistsError:
        return
    except FileNotFoundError:
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to disk.

    Raises:
        OSError: there is no such folder, or the disk fails.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_left_behind(folder: Path) -> int:
    """Remove the files that dead writers left in a folder; return how many."""
    removed = 0
    for path in folder.glob(f"{WRITING}*"):
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its writer is alive
            path.unlink()
            removed += 1
    return removed


@contextlib.contextmanager
def sole(path: Path) -> Iterator[bool]:
    """Hold a lock file; yield whether it is held. A lock ends with the process that holds it.

    Raises:
        StoreError: the lock file cannot be made.
    """
    try:
        make_folder(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be made: {error}; check that its folder may be written to"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
