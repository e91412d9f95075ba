"""The ledger, as the executor's own code finds it.

That code runs as a process: the console imports no service.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamdesk.console.domain.finding import (
    CHECKS,
    Finding,
    failed,
    merged,
    not_applicable,
    ok,
    unknown,
    warning,
)

NONE = "no ledger is known: LEDGER_URL is not set, and this folder has none"
NAMES = ("database", "tables", "kill-switch", "contradictions", "external-trades")
MODULE = "streamdesk.order_executor"
KILLED_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """What `python -m streamdesk.order_executor inspect` reports.

    Args:
        error: why the database is unavailable; empty otherwise.
        step: the last migration that the tables have had; None without tables.
        newest: the last one that this version knows.
        known: whether this version knows `step`.
        halted_since: since when the kill switch is on; empty while it is off.
        reason: why it was turned on.
        trading_state: what it lets through, as in REDUCING.
        contradictions: a line for each order that the broker contradicts.
        external_trades: a line for each trade that no desk ordered and nobody has settled.
    """

    error: str = ""
    step: str | None = None
    newest: str = ""
    known: bool = True
    halted_since: str = ""
    reason: str = ""
    trading_state: str = "HALTED"
    contradictions: Sequence[str] = ()
    external_trades: Sequence[str] = ()


def check_ledger(facts: LedgerFacts | None) -> list[Finding]:
    """What the ledger's state says; None where there is no ledger to look at."""
    if facts is None:
        return [not_applicable(f"ledger.{name}", NONE) for name in NAMES]
    if facts.error:
        broken = failed(
            "ledger.database",
            facts.error,
            "restore the database, or correct LEDGER_URL; executors take no signals until then",
        )
        rest = [unknown(f"ledger.{n}", "no database", "see ledger.database") for n in NAMES[1:]]
        return [broken, *rest]
    database = ok("ledger.database", "answers")
    people = [_contradictions(facts), _external_trades(facts)]
    return [database, _tables(facts), _kill_switch(facts), *people]


def _tables(facts: LedgerFacts) -> Finding:
    check = "ledger.tables"
    migrate = "run `python -m streamdesk.order_executor migrate`, or start an executor"
    if facts.step is None:
        return failed(check, "the database has no ledger's tables", migrate)
    if not facts.known:
        found = f"step {facts.step} is unknown to this version, whose last is {facts.newest}"
        return failed(check, found, "run the version that made the tables, or a newer one")
    if facts.step != facts.newest:
        return warning(check, f"step {facts.step}, this version has {facts.newest}", migrate)
    return ok(check, f"step {facts.step}, the newest")


def _kill_switch(facts: LedgerFacts) -> Finding:
    check = "ledger.kill-switch"
    if facts.step is None:
        return unknown(check, "no tables", "see ledger.tables")
    if facts.halted_since:
        what = "reduced to exits" if facts.trading_state == "REDUCING" else "halted"
        found = f"trading is {what} since {facts.halted_since}: {facts.reason}"
        return warning(check, found, "`streamdesk trading resume`, when its cause is resolved")
    return ok(check, "off: buy orders are accepted")


def _contradictions(facts: LedgerFacts) -> Finding:
    check = "ledger.contradictions"
    if facts.step is None:
        return unknown(check, "no tables", "see ledger.tables")
    if facts.step != facts.newest:
        return not_applicable(check, "the tables are not this version's")
    advice = (
        "compare with the broker's own list of orders; of one that is dead there, run `streamdesk "
        "trading resolve ORDER_ID`: its symbol is locked until then"
    )
    problems = [failed(check, line, advice) for line in facts.contradictions]
    return merged(check, problems, "the broker knows every order that it acknowledged")


def _external_trades(facts: LedgerFacts) -> Finding:
    check = "ledger.external-trades"
    if facts.step is None:
        return unknown(check, "no tables", "see ledger.tables")
    if facts.step != facts.newest:
        return not_applicable(check, "the tables are not this version's")
    advice = (
        "`streamdesk trading adopt TRADE_ID` books it, `streamdesk trading ignore TRADE_ID` leaves "
        "it out"
    )
    problems = [warning(check, line, advice) for line in facts.external_trades]
    return merged(check, problems, "every trade at the broker is the desk's, or settled")


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


async def _run(variables: dict[str, str]) -> tuple[int, str, str]:
    """Its exit code and what it said; it is killed with this task."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", MODULE, "inspect"),
        env=os.environ | {"LOG_LEVEL": "error"} | variables,
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
