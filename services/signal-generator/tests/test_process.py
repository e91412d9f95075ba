"""The service as a process of its own, on a real server."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from typing import Any

from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.topics import TRADING_SIGNALS

COMMAND = [sys.executable, "-m", "streamdesk.signal_generator"]


def environment(**more: str) -> dict[str, str]:
    quiet = {"METRICS_PORT": "0", "METRICS_HOST": "127.0.0.1", "LOG_FORMAT": "json"}
    return {**os.environ, **quiet, **more}


async def first_signals(url: str, key: str, count: int) -> list[Any]:
    seen: list[Any] = []
    async with Bus.connect(BusConfig(url=url)) as bus:
        async for message in bus.tail(TRADING_SIGNALS.configured(key=key), since="0"):
            seen.append(message.event)
            if len(seen) == count:
                break
    return seen


async def test_a_process_sends_signals_until_it_is_asked_to_stop(valkey_url: str) -> None:
    key = f"signals-{secrets.token_hex(4)}"
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        env=environment(REDIS_URL=valkey_url, SIGNAL_QUEUE_KEY=key, FEED_BARS_PER_SECOND="20"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            signals = await first_signals(valkey_url, key, 20)
            process.send_signal(signal.SIGTERM)
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert len(signals) == 20
    assert (process.returncode, err) == (0, b"")
    logs = [json.loads(line) for line in out.splitlines()]
    events = [entry["event"] for entry in logs]
    assert events == ["started", "publishing", "warm", "stopping", "stopped"]


def test_a_bad_setting_ends_the_process_with_one_line() -> None:
    ended = subprocess.run(
        COMMAND,
        env=environment(REDIS_URL="memory://x", FEED="recorded", FEED_FILE="/none/AAPL.US.csv"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "FEED_FILE=/none/AAPL.US.csv: expected a usable recording" in ended.stderr
