"""Ends the desk's processes when the process that started them is gone.

`streamdesk up` starts this file as a program of its own and holds the other end of its standard
input. Over it, up reports which process groups run (`+4711`) and which have ended (`-4711`). When
up dies, by whatever signal, the kernel closes the pipe; then every group still listed gets
SIGTERM and, after a grace period, SIGKILL. This works on every POSIX system. A parent-death
signal exists on Linux alone and is lost at a setuid exec.

It uses nothing but the standard library and is started as a file, so it is small and no import
of ours can fail in it.
"""

import os
import signal
import sys
import time

GRACE_SECONDS = 3.0
POLL_SECONDS = 0.05


def apply(line: str, groups: set[int]) -> None:
    """Note one message of up: `+pgid` for a started group, `-pgid` for one that ended."""
    sign, number = line[:1], line[1:].strip()
    if not number.isdigit():
        return
    if sign == "+":
        groups.add(int(number))
    elif sign == "-":
        groups.discard(int(number))


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; False when nothing of it is left."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def end(groups: set[int], grace_seconds: float) -> None:
    """SIGTERM to all, SIGKILL to what is still there after `grace_seconds`."""
    for group in groups:
        signal_group(group, signal.SIGTERM)
        signal_group(group, signal.SIGCONT)
    deadline = time.monotonic() + grace_seconds
    left = set(groups)
    while left and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        left = {group for group in left if signal_group(group, 0)}
    for group in left:
        signal_group(group, signal.SIGKILL)


def main() -> None:
    """Listen until the pipe closes, then end what is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        apply(line, groups)
    end(groups, GRACE_SECONDS)


if __name__ == "__main__":
    main()
