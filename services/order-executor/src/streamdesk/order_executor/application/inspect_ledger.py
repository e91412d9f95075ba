"""`python -m streamdesk.order_executor inspect`: how the ledger is, without changing anything.

Unlike a start it makes no file and no table, takes no step of a migration, and gives up early.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from streamdesk.order_executor.adapters.database import Database
from streamdesk.order_executor.adapters.database.upgrade import current, steps
from streamdesk.order_executor.adapters.ledger.kill_switch import state
from streamdesk.order_executor.adapters.ledger.schema import LEDGER
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.errors import DatabaseError
from streamdesk.order_executor.factory import NAME
from streamdesk.runtime import BadSettingError
from streamdesk.runtime.logs import configure_logs
from streamdesk.runtime.settings_report import load

ANSWER_SECONDS = 3.0
EXIT_BAD_SETTING = 2
SQLITE = "sqlite"
HALTS_SINCE = "0002"
"""The step that brought the kill switch."""


def inspect() -> int:
    """Print what is found as a line of JSON; returns the exit code.

    `error` says why the database is not to be had (empty otherwise), `step` the last migration
    that its tables have had (null without tables), `newest` the last that this version knows,
    `known` whether it knows `step`, `halted_since` and `reason` whether trading is halted.
    """
    try:
        settings = load(Settings)
    except BadSettingError as error:
        sys.stderr.write(f"{NAME}: {error}\n")
        return EXIT_BAD_SETTING
    configure_logs(NAME, settings, sys.stderr)
    try:
        report = _inspect(settings.ledger_url.get_secret_value())
    except (DatabaseError, SQLAlchemyError, OSError) as error:
        # What stands behind the first line may be a statement, or parameters.
        report = {"error": str(getattr(error, "orig", error)).partition("\n")[0]}
    sys.stdout.write(json.dumps({"kind": "report", **report}) + "\n")
    return 0


def _inspect(url: str) -> dict[str, Any]:
    scheme, _, path = url.partition(":///")
    if scheme.startswith(SQLITE) and not Path(path).exists():
        return {"error": f"there is no file {path}"}
    return asyncio.run(_read(url))


async def _read(url: str) -> dict[str, Any]:
    database = Database(url, LEDGER, ANSWER_SECONDS, ANSWER_SECONDS)
    try:
        return await database.read(_look)
    finally:
        await database.close()


def _look(connection: Connection) -> dict[str, Any]:
    known, step = steps(LEDGER), current(connection, LEDGER)
    halt = state(connection) if step is not None and step >= HALTS_SINCE else None
    return {
        "error": "",
        "step": step,
        "newest": known[-1],
        "known": step is None or step in known,
        "halted_since": halt.at.isoformat() if halt else "",
        "reason": halt.reason if halt else "",
    }
