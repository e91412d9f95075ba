"""`streamdesk queue`: watches one queue live."""

import asyncio
from typing import Annotated, Any

import typer
from rich.live import Live

from streamdesk.console.adapters import desk_bus
from streamdesk.console.adapters.terminal import tables
from streamdesk.console.adapters.terminal.output import print_json, stdout
from streamdesk.console.application.watch_queue import Monitor
from streamdesk.console.domain.up_options import DATA
from streamdesk.console.entrypoints.cli.options import DataOption, JsonOption, UrlOption
from streamdesk.console.errors import UsageError
from streamdesk.contracts.base import Topic


def queue(
    topic: Annotated[str, typer.Option(help="Which topic.")] = "signals",
    group: Annotated[
        str | None, typer.Option(help="Whose queue; the topic's first group.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Waiting messages shown.")] = 15,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="One look, then end.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """Watch a queue: what waits, what is pending, what failed, how fast it moves."""
    chosen = desk_bus.topic_named(topic)
    wanted = _group(chosen, group)
    asyncio.run(
        _watch(
            desk_bus.find_redis_url(url, data),
            chosen,
            wanted,
            limit=limit,
            interval_seconds=None if once else interval,
            as_json=as_json,
        )
    )


def _group(topic: Topic[Any], group: str | None) -> str:
    if not topic.groups:
        raise UsageError(f"topic {topic.name!r} has no group of readers; it has no queue")
    if group is None:
        return topic.groups[0]
    if group not in topic.groups:
        raise UsageError(
            f"topic {topic.name!r} has no group {group!r}; it has {', '.join(topic.groups)}"
        )
    return group


async def _watch(
    url: str,
    topic: Topic[Any],
    group: str,
    *,
    limit: int,
    interval_seconds: float | None,
    as_json: bool,
) -> None:
    where = f"{topic.name} → {group}"
    async with desk_bus.connect(url) as bus:
        monitor = Monitor(bus, topic, group, limit)
        if interval_seconds is None:
            frame = await monitor.once()
            if as_json:
                print_json(frame.as_dict())
            else:
                stdout().print(tables.queue(frame, where))
            return
        frames = monitor.frames(interval_seconds)
        if as_json:
            async for look in frames:
                print_json(look.as_dict() if look else None)
            return
        console = stdout()
        with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
            async for look in frames:
                live.update(tables.queue(look, f"{where}   (Ctrl-C ends)"), refresh=True)
