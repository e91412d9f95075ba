"""Options that several commands share, and how they print."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from streamdesk.bus import Message
from streamdesk.console.config import NEWS_SAMPLE, NewsSource

FILE_WIDTH = 160
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


def recording_of(news: NewsSource | None, recording: str | None, option: str) -> str | None:
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
    if news not in (None, NewsSource.RECORDED):
        why = f"is for recorded news, not for --news {news}: leave one of them out"
        raise typer.BadParameter(why, param_hint=option)
    if recording == NEWS_SAMPLE:
        return recording
    path = Path(recording)
    if not path.exists():
        raise typer.BadParameter(f"{path} does not exist", param_hint=option)
    return str(path.absolute())


def stdout() -> Console:
    """The console of standard output; in a file or a pipe lines need not fit a window."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else FILE_WIDTH)


def print_json(value: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """One JSON value on one line."""
    sys.stdout.write(json.dumps(value, default=str, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_message(message: Message[Any], *, as_json: bool) -> None:
    """One event of the bus on one line."""
    body = message.event.model_dump(mode="json")
    if as_json:
        print_json(
            {
                "topic": message.topic,
                "type": message.event.type_name(),
                "id": message.id,
                "key": message.key,
                "entry_id": message.entry_id,
                "published_at": message.published_at.isoformat(),
                "event": body,
            }
        )
        return
    text = "  ".join(f"{name}={value}" for name, value in body.items())
    at = message.published_at.astimezone().strftime("%H:%M:%S.%f")[:-3]
    stdout().print(
        f"[dim]{at}[/] [bold]{message.event.type_name()}[/] {escape(text)}",
        highlight=False,
        soft_wrap=True,
    )
