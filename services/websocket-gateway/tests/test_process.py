"""The gateway as its own process."""

import asyncio
import os
import signal
import sys
from typing import Any

from websockets.asyncio.client import connect


async def start(**environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "streamdesk.websocket_gateway",
        env={
            **os.environ, "REDIS_URL": "memory://process", "METRICS_PORT": "0",
            "GATEWAY_HOST": "127.0.0.1", "LOG_FORMAT": "json", **environment,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


async def port_of(process: asyncio.subprocess.Process) -> tuple[int, str]:
    """The port it logs that it listens on, and all it logged before."""
    assert process.stdout is not None
    said = ""
    async with asyncio.timeout(60):
        while line := (await process.stdout.readline()).decode():
            said += line
            if '"listening"' in line:
                return int(line.split('"port": ')[1].split(",")[0].rstrip("}\n")), said
    raise AssertionError(said)


async def test_sigterm_closes_sockets_with_4001_and_exits_cleanly(secret: str, token: Any) -> None:
    made = token()
    process = await start(GATEWAY_PORT="0", GATEWAY_JWT_SECRET=secret, LOG_LEVEL="debug")
    port, said = await port_of(process)
    url = f"ws://127.0.0.1:{port}/ws/events?token={made}"
    async with connect(url, proxy=None) as socket:
        await socket.recv()
        process.send_signal(signal.SIGTERM)
        await socket.wait_closed()
        assert socket.close_code == 4001
    rest, _ = await process.communicate()
    said += rest.decode()
    assert process.returncode == 0, said
    assert made not in said
    assert secret not in said


async def test_a_short_secret_stops_the_start_with_one_line() -> None:
    process = await start(GATEWAY_JWT_SECRET="short")  # noqa: S106 - the point of the test
    said, _ = await process.communicate()
    assert process.returncode == 2
    assert b"GATEWAY_JWT_SECRET" in said
    assert b"32 bytes" in said
    assert said.count(b"\n") == 1
