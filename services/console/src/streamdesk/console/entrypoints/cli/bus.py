"""`streamdesk bus`: lag and traffic."""

import asyncio
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from streamdesk.bus import ConsumerHealth, GroupLag
from streamdesk.console.adapters import desk_bus
from streamdesk.console.adapters.terminal import bus_tables
from streamdesk.console.adapters.terminal.output import print_json, print_message, stdout
from streamdesk.console.domain.moments import EXPECTED_OR_ID, span_of
from streamdesk.console.domain.up_options import DATA
from streamdesk.console.entrypoints.cli import dead_letters as dead
from streamdesk.console.entrypoints.cli.lazy import new_app
from streamdesk.console.entrypoints.cli.options import (
    DataOption,
    JsonOption,
    TopicOption,
    UrlOption,
)
from streamdesk.console.errors import ConsoleError, UsageError
from streamdesk.contracts.documents import asyncapi
from streamdesk.event_bus import EventBus, EventType

app = new_app("Inspect the bus: lag, health, live and past traffic, dead letters.")
app.add_typer(dead.app, name="dead", invoke_without_command=True)


@app.command("lag")
def show_lag(
    topic: TopicOption = None,
    by_stream: Annotated[
        bool, typer.Option("--streams", help="Each stream of a topic by itself.")
    ] = False,
    by_consumer: Annotated[
        bool, typer.Option("--consumers", help="Each consumer of a group by itself.")
    ] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """Show the lag of each group on each topic."""

    async def show() -> None:
        readers: dict[tuple[str, str], list[ConsumerHealth]] = {}
        async with desk_bus.connect(desk_bus.find_redis_url(url, data)) as bus:
            rows = []
            for chosen in desk_bus.topics_named(topic):
                rows += await bus.lag(chosen)
                for group in chosen.groups if by_consumer else ():
                    readers[chosen.name, group] = await bus.consumers(chosen, group)
        if as_json:
            print_json([_as_dict(row, readers) for row in rows])
            return
        stdout().print(bus_tables.streams(rows) if by_stream else bus_tables.lag(rows))
        if by_consumer:
            stdout().print(bus_tables.consumers(readers))

    asyncio.run(show())


def _as_dict(row: GroupLag, readers: bus_tables.Readers) -> dict[str, Any]:
    members = readers.get((row.topic, row.group))
    named = {} if members is None else {"members": [asdict(member) for member in members]}
    return asdict(row) | named


@app.command("health")
def show_health(
    as_json: JsonOption = False,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """Show how the five types of events are: traffic, dead letters, and the groups that read them.

    Fails when the server does not answer.
    """
    topics = desk_bus.topics()

    async def check() -> None:
        async with desk_bus.connect(desk_bus.find_redis_url(url, data)) as bus:
            chosen = {kind: topics[kind.topic.name] for kind in EventType}
            health = await EventBus(bus, desk_bus.NAME, topics=chosen).health()
        if as_json:
            print_json(asdict(health))
        elif health.connected:
            stdout().print(bus_tables.health(health))
        if not health.connected:
            raise ConsoleError("Redis does not answer; is the server up?")

    asyncio.run(check())


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
    data: DataOption = DATA,
) -> None:
    """Print events as they come, until Ctrl-C."""
    chosen = (
        [desk_bus.topic_named(name) for name in topics] if topics else desk_bus.topics_named(None)
    )

    async def follow() -> None:
        async with desk_bus.connect(desk_bus.find_redis_url(url, data)) as bus:
            count = 0
            async for message in bus.tail(chosen, since=since):
                print_message(message, as_json=as_json)
                count += 1
                if count == limit:
                    return

    asyncio.run(follow())


@app.command("replay")
def replay(
    topic: Annotated[str, typer.Argument(help="Topic, by name or key.")],
    since: Annotated[str, typer.Option(help=f"From when on: {EXPECTED_OR_ID}.")],
    until: Annotated[
        str | None, typer.Option(help="Until when, both included; now without.", show_default=False)
    ] = None,
    type_name: Annotated[
        str | None, typer.Option("--type", help="Only events of this type.", show_default=False)
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="Only what is about this, as in AAPL.US.", show_default=False),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="End after so many.", show_default=False)
    ] = None,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """Print events that were published, as JSON lines; no group notices."""
    chosen = desk_bus.topic_named(topic)
    if type_name is not None and type_name not in (known := [m.type_name() for m in chosen.models]):
        raise UsageError(
            f"no {type_name!r} travels on topic {chosen.name!r}; there are {', '.join(known)}"
        )
    span = span_of(since, until, datetime.now(UTC))

    async def print_all() -> None:
        async with desk_bus.connect(desk_bus.find_redis_url(url, data)) as bus:
            count = 0
            async for message in bus.replay(chosen, *span):
                if type_name not in (None, message.event.type_name()):
                    continue
                if key not in (None, message.key):
                    continue
                print_message(message, as_json=True)
                count += 1
                if count == limit:
                    return

    asyncio.run(print_all())


@app.command("asyncapi")
def show_asyncapi() -> None:
    """Print the AsyncAPI document of all topics, under the keys that are set."""
    document = asyncapi(desk_bus.topics().values())
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
