"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from streamdesk.console.domain.up_options import NEWS_SAMPLE, NewsSourceName

DataOption = Annotated[
    Path,
    typer.Option("--data", help="Folder of the desk: logs, ledger, server, state."),
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="Redis server. Without it REDIS_URL, then the desk that runs in this folder.",
        show_default=False,
    ),
]
TopicOption = Annotated[
    str | None, typer.Option("--topic", help="Only this topic.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]


def recording_of(news: NewsSourceName | None, recording: str | None, option: str) -> str | None:
    """Recorded news as a service finds it, in whatever folder it runs.

    Args:
        news: the source that was asked for; None for none.
        recording: a path, or `sample`; None for none.
        option: what the person calls it.

    Raises:
        BadParameter: no such file, or another source was asked for.
    """
    if recording is None:
        return None
    if news not in (None, NewsSourceName.RECORDED):
        why = f"is for recorded news, not for --news {news}: leave one of them out"
        raise typer.BadParameter(why, param_hint=option)
    if recording == NEWS_SAMPLE:
        return recording
    path = Path(recording)
    if not path.exists():
        raise typer.BadParameter(f"{path} does not exist", param_hint=option)
    return str(path.absolute())
