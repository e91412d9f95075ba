"""What a server can beyond Redis 7.0.

The bus works with Redis 7.0 and uses none of this; it tells those who decide about servers.
"""

from collections.abc import Awaitable, Callable
from typing import Any

COMMANDS = ("XACKDEL", "XDELEX", "XNACK")
CLAIM = "XREADGROUP CLAIM"
CLAIM_SINCE = (8, 4)
"""The Redis that reads what is new and what was abandoned in one call; Valkey has nothing alike."""


async def capabilities_of(command: Callable[..., Awaitable[Any]]) -> frozenset[str]:
    """The names of the commands and options that the server has.

    Args:
        command: sends one command and returns its answer.
    """
    known = await command("COMMAND", "INFO", *COMMANDS)
    names = {name for name, answer in zip(COMMANDS, known, strict=True) if answer}
    info = (await command("INFO", "server")).decode()
    lines = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    if "valkey_version" not in lines and version_of(lines.get("redis_version", "")) >= CLAIM_SINCE:
        names.add(CLAIM)
    return frozenset(names)


def version_of(text: str) -> tuple[int, ...]:
    """The numbers of a version, as in `8.4.0`; none of one that cannot be read."""
    parts = text.strip().split(".")
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else ()
