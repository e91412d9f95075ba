"""Asks a process over the network how it is; standard library alone, short time-outs."""

import asyncio
import contextlib

from streamdesk.console.domain.services import LOOPBACK


async def http_status(port: int, path: str, *, timeout_seconds: float = 1.0) -> int | None:
    """The status code of a GET on loopback; None when nothing answers in time."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = await _first_line(port, request.encode(), timeout_seconds)
    words = answer.split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else None


async def redis_answers(port: int, *, timeout_seconds: float = 1.0) -> bool:
    """Whether a Redis server on loopback takes commands; one that still loads does not."""
    return (await _first_line(port, b"PING\r\n", timeout_seconds)).startswith(b"+PONG")


async def _first_line(port: int, request: bytes, timeout_seconds: float) -> bytes:
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_seconds):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.write(request)
            await writer.drain()
            return await reader.readline()
    except (OSError, TimeoutError, ValueError):
        return b""
    finally:
        if writer:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
