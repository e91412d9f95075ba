"""The order-executor's own commands, as processes."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

DatabasesOf = Callable[[str], dict[str, str]]


async def command(databases_of: DatabasesOf, *words: str) -> subprocess.CompletedProcess[str]:
    """How a command on the test's account ended."""
    urls = {name.upper(): url for name, url in databases_of("account").items()}
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "streamdesk.order_executor", *words],
        env=os.environ | urls,
        capture_output=True,
        text=True,
        check=False,
    )


def report_of(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What a command that went well printed last."""
    assert ended.returncode == 0, ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return report
