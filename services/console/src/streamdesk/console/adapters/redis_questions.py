"""One connection to one Redis server or Sentinel, a few questions, and the answers."""

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Any

import hiredis

from streamdesk.bus import BusUnavailableError
from streamdesk.bus.connection import Address, Connection, HostPort, Login, Words, in_time, pack

ANSWER_SECONDS = 3.0
SILENT = "no answer in time"
"""What the bus's connection says of a server that does not answer."""


class NoAnswerError(Exception):
    """The server is unreachable, silent, or refuses; the message says which."""


def named(host: HostPort) -> str:
    """Host and port, for people."""
    return f"{host[0]}:{host[1]}"


async def ask(
    address: Address, host: HostPort | None, login: Login, *questions: Words
) -> tuple[list[Any], float]:
    """The answers, errors among them as values, and the seconds that they took.

    Args:
        address: the URL, taken apart: for TLS, or the path of a socket.
        host: which server of it to ask; None for the socket.
        login: for that server.
        questions: commands.

    Raises:
        NoAnswerError: no connection, no answer in time, or the login is refused.
    """
    connection = Connection(named(host) if host else address.path)
    try:
        await in_time(_dial(address, host, connection), ANSWER_SECONDS)
    except TimeoutError:
        connection.abort("not made in time")
        raise NoAnswerError(f"no connection within {ANSWER_SECONDS:g} s") from None
    except OSError as error:
        connection.abort("not made")
        raise NoAnswerError(f"cannot be reached ({_reason(error)})") from None
    try:
        if login.words:
            (answer,) = await connection.send(pack(login.words), 1, ANSWER_SECONDS)
            if isinstance(answer, hiredis.ReplyError):
                raise NoAnswerError(f"refuses the login of the URL ({answer})")
        begun = time.monotonic()
        payload = b"".join([pack(words) for words in questions])
        answers = await connection.send(payload, len(questions), ANSWER_SECONDS)
        return answers, time.monotonic() - begun
    except BusUnavailableError as error:
        why = str(error).removeprefix(f"{connection.name}: ")
        if why == SILENT:
            why = f"takes connections and does not answer within {ANSWER_SECONDS:g} s"
        raise NoAnswerError(why) from None
    finally:
        connection.abort("all questions answered")


async def _dial(address: Address, host: HostPort | None, connection: Connection) -> None:
    loop = asyncio.get_running_loop()
    if host is None:
        await loop.create_unix_connection(lambda: connection, address.path)
    else:
        await loop.create_connection(lambda: connection, *host, ssl=address.tls)


def _reason(error: OSError) -> str:
    # The loop's own words for a refused connection name the address again.
    number = error.errno or 0  # negative where no name was found
    return os.strerror(number) if number > 0 else str(error)


def refused(answers: Sequence[Any]) -> str:
    """The first error among the answers; empty when there is none."""
    wrong = next((one for one in answers if isinstance(one, hiredis.ReplyError)), None)
    return "" if wrong is None else f"the server refuses a question: {wrong}"


def pairs(flat: Sequence[bytes]) -> dict[str, str]:
    """A reply of names and values in turn."""
    texts = [part.decode(errors="replace") for part in flat]
    return dict(zip(texts[::2], texts[1::2], strict=False))


def lines_of(info: bytes) -> dict[str, str]:
    """The lines of an INFO."""
    lines = info.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)
