"""Asks the executor's own code about the ledger, as a process: the console imports no service."""

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from streamdesk.console.application.doctor.ledger import LedgerFacts, check_ledger
from streamdesk.console.domain.finding import CHECKS, Finding, unknown

MODULE = "streamdesk.order_executor"
KILLED_SECONDS = 1.0


async def examine_ledger(ledger: str | None) -> list[Finding]:
    """The checks of the ledger.

    Args:
        ledger: its URL; None where none is known.
    """
    if ledger is None:
        return check_ledger(None)
    code, out, errors = await _run({"LEDGER_URL": ledger})
    report = _report(out)
    if report is None:
        words = errors.strip().splitlines()
        why = words[-1] if words else f"the executor's code ended with {code}"
        advice = f"run `python -m {MODULE} inspect` with the executors' settings"
        return [unknown(f"ledger.{name}", why, advice) for name in CHECKS["ledger"]]
    return check_ledger(LedgerFacts(**report))


async def _run(told: dict[str, str]) -> tuple[int, str, str]:
    """Its exit code and what it said; it does not outlive us, cancelled or not."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", MODULE, "inspect"),
        env=os.environ | {"LOG_LEVEL": "error"} | told,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(KILLED_SECONDS):
                    await process.wait()
    return process.returncode or 0, out.decode(errors="replace"), errors.decode(errors="replace")


def _report(out: str) -> dict[str, Any] | None:
    lines = out.strip().splitlines()
    try:
        last = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return None
    if not isinstance(last, dict) or last.pop("kind", None) != "report":
        return None
    return last


def ledger_url(folder: Path, given: str | None) -> str | None:
    """Where the ledger is: as LEDGER_URL says, or in a desk's folder; None for nowhere.

    Args:
        folder: for ledgers, of a desk.
        given: LEDGER_URL.
    """
    file = folder / "ledger.db"
    return given or (f"sqlite:///{file}" if file.exists() else None)
