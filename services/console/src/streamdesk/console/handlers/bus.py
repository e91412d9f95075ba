"""`streamdesk bus`: lag and traffic."""

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape

from streamdesk.bus import Message
from streamdesk.console import config, factory, tables
from streamdesk.console.handlers import dead
from streamdesk.console.handlers.common import (
    DataOption,
    JsonOption,
    TopicOption,
    UrlOption,
    print_json,
    stdout,
)

app = typer.Typer(help="Looks at the bus: lag, traffic, dead letters.", no_args_is_help=True)
app.add_typer(dead.app, name="dead", invoke_without_command=True)


@app.command("lag")
def show_lag(
    topic: TopicOption = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data: DataOption = config.DATA,
) -> None:
    """Show where each group stands on each topic."""

    async def work() -> None:
        async with factory.connect(factory.find_redis_url(url, data)) as bus:
            rows = [row for chosen in factory.topics(topic) for row in await bus.lag(chosen)]
        if as_json:
            print_json([asdict(row) for row in rows])
        else:
            stdout().print(tables.lag(rows))

    asyncio.run(work())


@app.command("tail")
def tail(
    topics: Annotated[
        list[str] | None, typer.Argument(help="Topics; all without.", show_default=False)
    ] = None,
    since: Annotated[str, typer.Option(help="$ for now, 0 for the beginning, or an id.")] = "$",
    limit: Annotated[
        int | None, typer.Option(min=1, help="End after so many.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data: DataOption = config.DATA,
) -> None:
    """Print events as they come, until Ctrl-C."""
    chosen = [factory.topic(name) for name in topics] if topics else factory.topics(None)

    async def work() -> None:
        async with factory.connect(factory.find_redis_url(url, data)) as bus:
            count = 0
            async for message in bus.tail(chosen, since=since):
                _print_message(message, as_json=as_json)
                count += 1
                if count == limit:
                    return

    asyncio.run(work())


def _print_message(message: Message[Any], *, as_json: bool) -> None:
    body = message.event.model_dump(mode="json")
    if as_json:
        print_json(
            {
                "topic": message.topic,
                "type": message.event.type_name(),
                "id": message.id,
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
