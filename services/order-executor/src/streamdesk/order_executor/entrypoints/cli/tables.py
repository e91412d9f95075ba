"""Commands about the tables.

migrate   bring them up to date
inspect   print how the ledger is, as JSON; changes nothing
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from streamdesk.order_executor.adapters.ledger.inspection import LedgerInspector
from streamdesk.order_executor.application.inspect_ledger import inspect_ledger
from streamdesk.order_executor.config import NAME, Settings
from streamdesk.order_executor.entrypoints.cli.ending import (
    EXIT_BAD_SETTING,
    complain,
    print_report,
)
from streamdesk.runtime import BadSettingError, logger
from streamdesk.runtime.logs import configure_logs
from streamdesk.runtime.settings_report import load

log = logger(__name__)
InspectorOf = Callable[[str], LedgerInspector]
OpenTables = Callable[[Settings], AbstractAsyncContextManager[object]]
"""Brings the tables of both databases up to date as soon as they are available."""


def migrate(open_tables: OpenTables) -> int:
    """Bring the tables of the ledger and of the paper broker up to date, as a start would.

    Waits for a database that is unreachable.

    Returns:
        The exit code: 0; 2 for a bad setting.
    """

    async def run(settings: Settings) -> None:
        async with open_tables(settings):
            log.info("tables are up to date")

    try:
        settings = load(Settings)
        configure_logs(NAME, settings)
        asyncio.run(run(settings))
    except BadSettingError as error:
        return complain(error, EXIT_BAD_SETTING)
    return 0


def inspect(inspector_of: InspectorOf) -> int:
    """Print what `inspect_ledger` finds as a line of JSON.

    Returns:
        The exit code: 0, also with an error to report; 2 for a bad setting.
    """
    try:
        settings = load(Settings)
    except BadSettingError as error:
        return complain(error, EXIT_BAD_SETTING)
    configure_logs(NAME, settings, sys.stderr)
    url = settings.ledger_url.get_secret_value()
    print_report(asyncio.run(inspect_ledger(url, inspector_of)))
    return 0
