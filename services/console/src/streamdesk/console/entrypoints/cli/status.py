"""`streamdesk status`."""

from streamdesk.console.adapters.folder import Folder
from streamdesk.console.adapters.terminal import tables
from streamdesk.console.adapters.terminal.output import print_json, stdout
from streamdesk.console.domain.up_options import DATA
from streamdesk.console.entrypoints.cli.options import DataOption, JsonOption


def status(data: DataOption = DATA, as_json: JsonOption = False) -> None:
    """Show the processes of the desk that runs in this folder."""
    state = Folder(data).running()
    if as_json:
        print_json(state.model_dump(mode="json", exclude={"redis_url"}))
    else:
        stdout().print(tables.status(state))
