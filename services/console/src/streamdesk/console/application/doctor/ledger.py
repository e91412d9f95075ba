"""The ledger, as the executor's own code finds it."""

from dataclasses import dataclass

from streamdesk.console.domain.finding import (
    Finding,
    failed,
    not_applicable,
    ok,
    unknown,
    warning,
)

NONE = "no ledger is known: LEDGER_URL is not set, and this folder has none"
NAMES = ("database", "tables", "kill-switch")


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """What `python -m streamdesk.order_executor inspect` reports.

    Args:
        error: why the database is not to be had; empty otherwise.
        step: the last migration that the tables have had; None without tables.
        newest: the last one that this version knows.
        known: whether this version knows `step`.
        halted_since: since when the kill switch is on; empty while it is off.
        reason: why it was thrown.
    """

    error: str = ""
    step: str | None = None
    newest: str = ""
    known: bool = True
    halted_since: str = ""
    reason: str = ""


def check_ledger(facts: LedgerFacts | None) -> list[Finding]:
    """What the ledger's state says; None where there is no ledger to look at."""
    if facts is None:
        return [not_applicable(f"ledger.{name}", NONE) for name in NAMES]
    if facts.error:
        broken = failed(
            "ledger.database",
            facts.error,
            "bring the database back, or correct LEDGER_URL; executors take no signal meanwhile",
        )
        rest = [unknown(f"ledger.{n}", "no database", "see ledger.database") for n in NAMES[1:]]
        return [broken, *rest]
    return [ok("ledger.database", "answers"), _tables(facts), _kill_switch(facts)]


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
        found = f"trading is halted since {facts.halted_since}: {facts.reason}"
        return warning(check, found, "`streamdesk trading resume`, when its cause is gone")
    return ok(check, "off: purchases are made")
