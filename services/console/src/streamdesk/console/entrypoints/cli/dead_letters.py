"""`streamdesk bus dead`: what could not be handled, why, and its way back."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import typer

from streamdesk.bus import StoredDeadLetter
from streamdesk.console.adapters import desk_bus
from streamdesk.console.adapters.terminal import bus_tables
from streamdesk.console.adapters.terminal.output import print_json, stdout
from streamdesk.console.application.dead_letters import (
    ALL,
    find_letter,
    find_letters,
    missing_ids,
    purge_letters,
    redrive_letters,
)
from streamdesk.console.domain.up_options import DATA
from streamdesk.console.entrypoints.cli.dead_options import (
    DryRunOption,
    IdsArgument,
    LetterSelection,
    LimitOption,
    ReasonOption,
    selecting,
)
from streamdesk.console.entrypoints.cli.lazy import PlainGroup
from streamdesk.console.entrypoints.cli.options import (
    DataOption,
    JsonOption,
    TopicOption,
    UrlOption,
)
from streamdesk.console.errors import ConsoleError, UsageError

RateOption = Annotated[
    float | None, typer.Option(min=0.01, help="At most so many a second.", show_default=False)
]
MaxReplaysOption = Annotated[
    int | None,
    typer.Option(
        min=1, help="Leave letters that were put back so often already.", show_default=False
    ),
]

app = typer.Typer(
    cls=PlainGroup, help="Dead letters: what could not be handled, why, and its way back."
)


@app.callback()
def overview(
    context: typer.Context,
    topic: TopicOption = None,
    reason: ReasonOption = None,
    limit: LimitOption = 100,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """List dead letters, or show, redrive or purge them."""
    if context.invoked_subcommand is None:
        selection = LetterSelection(topic, reason, limit=limit)
        list_dead(selection, as_json=as_json, url=url, data=data)


def list_dead(
    selection: LetterSelection,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """List dead letters, the oldest first."""
    where = selection.where()

    async def find() -> list[StoredDeadLetter]:
        topics = desk_bus.topics_named(selection.topic)
        async with desk_bus.connect(desk_bus.find_redis_url(url, data)) as bus:
            return await find_letters(bus, topics, where, selection.limit)

    letters = asyncio.run(find())
    if as_json:
        print_json([_as_dict(stored) for stored in letters])
    else:
        stdout().print(bus_tables.dead(letters))


app.command("list")(selecting(list_dead))


@app.command("show")
def show_dead(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="Id of a letter.")],
    topic: TopicOption = None,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """Print everything about one dead letter, as JSON."""

    async def find() -> StoredDeadLetter | None:
        async with desk_bus.connect(desk_bus.find_redis_url(url, data)) as bus:
            return await find_letter(bus, desk_bus.topics_named(topic), letter_id)

    stored = asyncio.run(find())
    if stored is None:
        raise ConsoleError(f"no dead letter has the id {letter_id}; see `bus dead list`")
    stdout().print_json(data=_as_dict(stored), default=str)


@app.command("redrive")
@selecting
def redrive(
    selection: LetterSelection,
    ids: IdsArgument = None,
    rate: RateOption = None,
    max_replays: MaxReplaysOption = None,
    dry_run: DryRunOption = False,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """Put dead letters back where they came from, for the group that gave them up."""
    where = selection.where()

    async def put_back() -> None:
        topics = desk_bus.topics_named(selection.topic)
        async with desk_bus.connect(desk_bus.find_redis_url(url, data)) as bus:
            missing = await missing_ids(bus, topics, ids)
            reports = await redrive_letters(
                *(bus, topics, ids, where),
                limit=selection.limit,
                rate_per_second=rate,
                max_replays=max_replays,
                dry_run=dry_run,
            )
        letters = [letter for report in reports for letter in report.letters]
        _say(letters, "put back", dry_run=dry_run)
        skipped = sum(report.skipped for report in reports)
        if skipped:
            stdout().print(f"{skipped} left, put back too often already", highlight=False)
        _complain(missing)

    asyncio.run(put_back())


@app.command("purge")
@partial(selecting, limit=ALL)
def purge(
    selection: LetterSelection,
    ids: IdsArgument = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every letter, where nothing else says which.")
    ] = False,
    dry_run: DryRunOption = False,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """Delete dead letters permanently."""
    where = selection.where()
    if not (ids or selection.topic or where or everything):
        raise UsageError("purge deletes permanently: give ids, --topic, --reason …, or --all")

    async def delete() -> None:
        topics = desk_bus.topics_named(selection.topic)
        async with desk_bus.connect(desk_bus.find_redis_url(url, data)) as bus:
            missing = await missing_ids(bus, topics, ids)
            limit = selection.limit
            letters = await purge_letters(bus, topics, ids, where, limit=limit, dry_run=dry_run)
        _say(letters, "deleted", dry_run=dry_run)
        _complain(missing)

    asyncio.run(delete())


def _say(letters: Sequence[StoredDeadLetter], done: str, *, dry_run: bool) -> None:
    if dry_run:
        stdout().print(bus_tables.dead(letters))
    would = "would be " if dry_run else ""
    stdout().print(f"{len(letters)} {would}{done}", highlight=False)


def _complain(missing: Sequence[str]) -> None:
    if missing:
        raise ConsoleError(f"no dead letter has the id {', '.join(missing)}")


def _as_dict(stored: StoredDeadLetter) -> dict[str, Any]:
    return {"id": stored.id, **stored.letter.model_dump(mode="json")}
