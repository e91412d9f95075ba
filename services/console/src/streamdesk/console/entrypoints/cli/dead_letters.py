"""`streamdesk bus dead`: what could not be handled, why, and its way back."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from streamdesk.bus import Bus, DeadFilter, RedriveReport, StoredDeadLetter
from streamdesk.console.adapters import desk_bus
from streamdesk.console.adapters.terminal import bus_tables
from streamdesk.console.adapters.terminal.output import print_json, stdout
from streamdesk.console.domain.up_options import DATA
from streamdesk.console.entrypoints.cli.dead_options import (
    ContainsOption,
    DryRunOption,
    GroupOption,
    IdsArgument,
    LimitOption,
    ReasonOption,
    SinceOption,
    TypeOption,
    UntilOption,
    filter_of,
)
from streamdesk.console.entrypoints.cli.options import (
    DataOption,
    JsonOption,
    TopicOption,
    UrlOption,
)
from streamdesk.console.errors import ConsoleError, UsageError
from streamdesk.contracts.base import Topic

ALL = 100_000
app = typer.Typer(help="Dead letters: what could not be handled, why, and its way back.")


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
        list_dead(topic, reason, limit=limit, as_json=as_json, url=url, data=data)


@app.command("list")
def list_dead(
    topic: TopicOption = None,
    reason: ReasonOption = None,
    group: GroupOption = None,
    type_name: TypeOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    contains: ContainsOption = None,
    limit: LimitOption = 100,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """List dead letters, the oldest first."""
    where = filter_of(
        reason=reason,
        group=group,
        type_name=type_name,
        since=since,
        until=until,
        contains=contains,
    )

    async def work() -> None:
        async with desk_bus.connect(desk_bus.find_redis_url(url, data)) as bus:
            letters = [
                letter
                for chosen in desk_bus.topics_named(topic)
                for letter in await bus.dead(chosen, limit, where)
            ]
        letters = sorted(letters, key=lambda stored: stored.letter.dead_at)[:limit]
        if as_json:
            print_json([_as_dict(stored) for stored in letters])
        else:
            stdout().print(bus_tables.dead(letters))

    asyncio.run(work())


@app.command("show")
def show_dead(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="Id of a letter.")],
    topic: TopicOption = None,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """Print everything about one dead letter, as JSON."""

    async def work() -> None:
        async with desk_bus.connect(desk_bus.find_redis_url(url, data)) as bus:
            for chosen in desk_bus.topics_named(topic):
                for stored in await bus.dead(chosen, ALL):
                    if stored.id == letter_id:
                        stdout().print_json(data=_as_dict(stored), default=str)
                        return
        raise ConsoleError(f"no dead letter has the id {letter_id}; see `bus dead list`")

    asyncio.run(work())


@app.command("redrive")
def redrive(
    ids: IdsArgument = None,
    topic: TopicOption = None,
    reason: ReasonOption = None,
    group: GroupOption = None,
    type_name: TypeOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    contains: ContainsOption = None,
    limit: LimitOption = 100,
    rate: Annotated[
        float | None,
        typer.Option(min=0.01, help="At most so many a second.", show_default=False),
    ] = None,
    max_replays: Annotated[
        int | None,
        typer.Option(
            min=1, help="Leave letters that were put back so often already.", show_default=False
        ),
    ] = None,
    dry_run: DryRunOption = False,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """Put dead letters back where they came from, for the group that gave them up."""
    where = filter_of(
        reason=reason,
        group=group,
        type_name=type_name,
        since=since,
        until=until,
        contains=contains,
    )

    async def work() -> None:
        reports: list[RedriveReport] = []
        async with desk_bus.connect(desk_bus.find_redis_url(url, data)) as bus:
            missing = await _missing(bus, desk_bus.topics_named(topic), ids)
            left = limit
            for chosen in desk_bus.topics_named(topic):
                if left > 0:
                    report = await bus.redrive(
                        chosen,
                        ids or None,
                        left,
                        where=where,
                        rate_per_second=rate,
                        max_replays=max_replays,
                        dry_run=dry_run,
                    )
                    reports.append(report)
                    left -= len(report.letters)
        letters = [letter for report in reports for letter in report.letters]
        _say(letters, "put back", dry_run=dry_run)
        skipped = sum(report.skipped for report in reports)
        if skipped:
            stdout().print(f"{skipped} left, put back too often already", highlight=False)
        _complain(missing)

    asyncio.run(work())


@app.command("purge")
def purge(
    ids: IdsArgument = None,
    topic: TopicOption = None,
    reason: ReasonOption = None,
    group: GroupOption = None,
    type_name: TypeOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    contains: ContainsOption = None,
    limit: LimitOption = ALL,
    everything: Annotated[
        bool, typer.Option("--all", help="Every letter, where nothing else says which.")
    ] = False,
    dry_run: DryRunOption = False,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """Delete dead letters for good."""
    where = filter_of(
        reason=reason,
        group=group,
        type_name=type_name,
        since=since,
        until=until,
        contains=contains,
    )
    if not (ids or topic or where or everything):
        raise UsageError("purge deletes for good: give ids, --topic, --reason …, or --all")

    async def work() -> None:
        gone: list[StoredDeadLetter] = []
        async with desk_bus.connect(desk_bus.find_redis_url(url, data)) as bus:
            missing = await _missing(bus, desk_bus.topics_named(topic), ids)
            for chosen in desk_bus.topics_named(topic):
                found = await _meant(bus, chosen, ids, where)
                doomed = found[: limit - len(gone)]
                if doomed and not dry_run:
                    await bus.purge_dead(chosen, [stored.id for stored in doomed])
                gone += doomed
        _say(gone, "deleted", dry_run=dry_run)
        _complain(missing)

    asyncio.run(work())


async def _meant(
    bus: Bus, topic: Topic[Any], ids: Sequence[str] | None, where: DeadFilter | None
) -> list[StoredDeadLetter]:
    letters = await bus.dead(topic, ALL, where)
    return [stored for stored in letters if not ids or stored.id in ids]


async def _missing(bus: Bus, topics: Sequence[Topic[Any]], ids: Sequence[str] | None) -> list[str]:
    """Ids that no letter has."""
    if not ids:
        return []
    known = {stored.id for topic in topics for stored in await bus.dead(topic, ALL)}
    return sorted(set(ids) - known)


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
