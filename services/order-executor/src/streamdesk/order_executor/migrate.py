"""`python -m streamdesk.order_executor migrate`: the tables alone, as a start would make them."""

import asyncio
import sys

from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.desk import Desk
from streamdesk.order_executor.factory import NAME, make_folders
from streamdesk.runtime import BadSettingError, logger
from streamdesk.runtime.logs import configure_logs
from streamdesk.runtime.settings_report import load

log = logger("order-executor")
EXIT_BAD_SETTING = 2


def migrate() -> int:
    """Bring the tables of the ledger and of the paper broker up to date; returns the exit code.

    Waits for a database that cannot be reached yet.
    """
    try:
        settings = load(Settings)
        configure_logs(NAME, settings)
        make_folders(settings)
        asyncio.run(_open(settings))
    except BadSettingError as error:
        sys.stderr.write(f"{NAME}: {error}\n")
        return EXIT_BAD_SETTING
    return 0


async def _open(settings: Settings) -> None:
    async with Desk(settings):
        log.info("tables are up to date")
