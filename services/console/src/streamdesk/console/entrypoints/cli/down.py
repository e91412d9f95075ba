"""`streamdesk down`."""

import time

from streamdesk.console.adapters.folder import Folder
from streamdesk.console.adapters.terminal.output import stdout
from streamdesk.console.application.end_desk import end_desk
from streamdesk.console.domain.up_options import DATA
from streamdesk.console.entrypoints.cli.options import DataOption


def down(data: DataOption = DATA) -> None:
    """End the desk that runs in this folder."""
    begun = time.monotonic()
    end_desk(Folder(data))
    stdout().print(f"The desk has ended, in {time.monotonic() - begun:.1f} s.", highlight=False)
