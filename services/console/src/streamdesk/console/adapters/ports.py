"""Free ports on this machine."""

import errno
import socket

from streamdesk.console.domain.services import LOOPBACK
from streamdesk.console.errors import DeskFailedError

LOCALHOST = ((socket.AF_INET6, "::1"), (socket.AF_INET, LOOPBACK))
SEARCHED = 100
CONNECT_SECONDS = 0.5


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on `port` now, and browsers would find it there.

    Some systems let a second server bind a port that the first has on another of the machine's
    addresses; a browser then reaches either of them. So a port counts as taken if anything
    answers there on localhost.
    """
    if any(_answers(family, address, port) for family, address in LOCALHOST):
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections are still closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def any_free(host: str = LOOPBACK) -> int:
    """An unused port, chosen by the system."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def next_free(first: int, host: str = LOOPBACK) -> int:
    """The first free port from `first` on.

    Raises:
        DeskFailedError: none of the next hundred is free.
    """
    for port in range(first, min(first + SEARCHED, 65_536)):
        if is_free(port, host):
            return port
    raise DeskFailedError(
        f"no port from {first} to {first + SEARCHED - 1} is free; name another with --port"
    )


def _answers(family: socket.AddressFamily, address: str, port: int) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as caller:
            caller.settimeout(CONNECT_SECONDS)
            return caller.connect_ex((address, port)) == 0
    except OSError:  # a machine without IPv6
        return False
