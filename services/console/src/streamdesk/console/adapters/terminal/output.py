"""How commands print: one JSON value, or one event, on one line."""

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:  # half of the commands print without the bus
    from streamdesk.bus import Message

FILE_WIDTH = 160


def stdout() -> Console:
    """The console of standard output; in a file or a pipe lines need not fit a window."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else FILE_WIDTH)


def print_json(value: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """One JSON value on one line."""
    sys.stdout.write(json.dumps(value, default=str, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_message(message: "Message[Any]", *, as_json: bool) -> None:
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
