"""Tables of the desk and of a queue."""

import time
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streamdesk.console.adapters.folder import shown
from streamdesk.console.domain.queue import QueueFrame
from streamdesk.console.domain.state import DeskState, ServiceState

MINUTE, HOUR, DAY = 60, 3_600, 86_400
STYLES = {"STRONG_BUY": "bold green", "BUY": "green", "WEAK_BUY": "dim green", "SELL": "red"}
NONE = "-"


def age(seconds: float | None) -> str:
    """A time span in the unit that fits: 850 ms, 12.3 s, 4 min, 2 h."""
    if seconds is None:
        return NONE
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < MINUTE:
        return f"{seconds:.1f} s"
    if seconds < HOUR:
        return f"{int(seconds // MINUTE)} min {int(seconds % MINUTE)} s"
    if seconds < DAY:
        return f"{int(seconds // HOUR)} h {int(seconds % HOUR // MINUTE)} min"
    return f"{int(seconds // DAY)} d {int(seconds % DAY // HOUR)} h"


def new_table(title: str | None = None) -> Table:
    """An empty table in the command's style."""
    return Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 0),
    )


def queue(frame: QueueFrame | None, where: str) -> RenderableType:
    """One look at a queue.

    Args:
        frame: what was seen; None while the server does not answer.
        where: which queue, for the title.
    """
    if frame is None:
        return Text(f"{where}: Redis does not answer; trying again …", style="yellow")
    figures = new_table()
    cells = {
        "pending": Text(f"{frame.pending:,}", style="bold"),
        "processing": Text(f"{frame.processing:,}"),
        "delayed": Text(f"{frame.delayed:,}", style="yellow" if frame.delayed else ""),
        "failed": Text(f"{frame.failed:,}", style="bold red" if frame.failed else ""),
        "in/s": Text(_rate(frame.rate_in)),
        "out/s": Text(_rate(frame.rate_out)),
        "readers": Text(f"{frame.consumers}", style="" if frame.consumers else "bold red"),
        "oldest pending": Text(age(frame.oldest_processing_seconds)),
    }
    for name in cells:
        figures.add_column(name, justify="right")
    figures.add_row(*cells.values())
    return Group(Text(where, style="bold"), figures, _top(frame))


def _top(frame: QueueFrame) -> RenderableType:
    if not frame.top:
        return Text("nothing waits", style="dim")
    top = new_table("next")
    for name in ("priority", "symbol", "type", "score", "age", "attempt"):
        top.add_column(name, justify="left" if name in ("symbol", "type") else "right")
    for message in frame.top:
        top.add_row(
            NONE if message.priority is None else str(message.priority),
            message.symbol,
            Text(message.type, style=STYLES.get(message.type, "")),
            NONE if message.score is None else f"{message.score:.1f}",
            age(message.age_seconds),
            str(message.attempt),
        )
    return top


def _rate(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"


def status(state: DeskState) -> RenderableType:
    """The desk's processes."""
    table = new_table()
    for name in ("service", "pid", "state", "uptime", "ready", "restarts", "port", "log"):
        right = name in ("pid", "uptime", "restarts", "port")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    now = time.time()
    for service in state.services:
        table.add_row(
            service.name,
            str(service.pid or NONE),
            Text(service.state, style="" if service.state == "running" else "yellow"),
            age(now - service.since) if service.state == "running" else NONE,
            _ready(service),
            str(service.restarts),
            str(service.port or NONE),
            shown(Path(service.log)),
        )
    title = f"desk: {state.status}, page: {state.page}, analysis: {state.analysis}"
    return Group(Text(title, style="bold"), table)


def _ready(service: ServiceState) -> Text:
    if service.ready is None:
        return Text(NONE)
    return Text("yes", style="green") if service.ready else Text("no", style="yellow")
