"""`streamdesk bus dead`: what could not be handled, why, and its way back."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from streamdesk.bus import Bus, StoredDeadLetter
from streamdesk.console import config, factory, tables
from streamdesk.console.errors import ConsoleError, UsageError
from streamdesk.console.handlers.common import (
    DataOption,
    JsonOption,
    TopicOption,
    UrlOption,
    print_json,
    stdout,
)
from streamdesk.contracts.base import Topic

ALL = 100_000
app = typer.Typer(help="Dead letters: what could not be handled, why, and its way back.")

LimitOption = Annotated[int, typer.Option("--limit", min=1, help="At most so many.")]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", help="Only with this reason.", show_default=False)
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")]
IdsArgument = Annotated[
    list[str] | None, typer.Argument(help="Ids of letters; all without.", show_default=False)
]
Action = Callable[[Bus, Topic[Any], list[str]], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which letters are meant."""

    topic: str | None
    reason: str | None
    ids: list[str] | None
    limit: int

    async def by_topic(self, bus: Bus) -> list[tuple[Topic[Any], list[StoredDeadLetter]]]:
        """The letters, oldest first, with their topics; topics without any are left out."""
        found, left = [], self.limit
        for topic in factory.topics(self.topic):
            chosen = [letter for letter in await bus.dead(topic, ALL) if self._fits(letter)]
            if chosen[:left]:
                found.append((topic, chosen[:left]))
            left -= len(chosen[:left])
        return found

    async def letters(self, bus: Bus) -> list[StoredDeadLetter]:
        """The letters of all topics, oldest first."""
        letters = [letter for _, some in await self.by_topic(bus) for letter in some]
        return sorted(letters, key=lambda stored: stored.letter.dead_at)

    def _fits(self, stored: StoredDeadLetter) -> bool:
        wanted_id = self.ids is None or not self.ids or stored.id in self.ids
        return wanted_id and self.reason in (None, stored.letter.reason)


@app.callback()
def overview(
    context: typer.Context,
    topic: TopicOption = None,
    reason: ReasonOption = None,
    limit: LimitOption = 100,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data: DataOption = config.DATA,
) -> None:
    """List dead letters, or show, redrive or purge them."""
    if context.invoked_subcommand is None:
        list_dead(topic, reason, limit, as_json, url, data)


@app.command("list")
def list_dead(
    topic: TopicOption = None,
    reason: ReasonOption = None,
    limit: LimitOption = 100,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data: DataOption = config.DATA,
) -> None:
    """List dead letters, the oldest first."""

    async def work() -> None:
        async with factory.connect(factory.find_redis_url(url, data)) as bus:
            letters = await _Choice(topic, reason, None, limit).letters(bus)
        if as_json:
            print_json([_as_dict(stored) for stored in letters])
        else:
            stdout().print(tables.dead(letters))

    asyncio.run(work())


@app.command("show")
def show_dead(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="Id of a letter.")],
    topic: TopicOption = None,
    url: UrlOption = None,
    data: DataOption = config.DATA,
) -> None:
    """Print everything about one dead letter, as JSON."""

    async def work() -> None:
        async with factory.connect(factory.find_redis_url(url, data)) as bus:
            letters = await _Choice(topic, None, [letter_id], 1).letters(bus)
        if not letters:
            raise ConsoleError(f"no dead letter has the id {letter_id}; see `bus dead list`")
        stdout().print_json(data=_as_dict(letters[0]), default=str)

    asyncio.run(work())


@app.command("redrive")
def redrive(
    ids: IdsArgument = None,
    topic: TopicOption = None,
    reason: ReasonOption = None,
    limit: LimitOption = 100,
    dry_run: DryRunOption = False,
    url: UrlOption = None,
    data: DataOption = config.DATA,
) -> None:
    """Put dead letters back where they came from."""

    async def act(bus: Bus, chosen: Topic[Any], wanted: list[str]) -> int:
        return await bus.redrive(chosen, wanted, len(wanted))

    choice = _Choice(topic, reason, ids, limit)
    asyncio.run(
        _act(choice, act, "put back", dry_run=dry_run, url=factory.find_redis_url(url, data))
    )


@app.command("purge")
def purge(
    ids: IdsArgument = None,
    topic: TopicOption = None,
    reason: ReasonOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every letter, where no id, topic or reason is given.")
    ] = False,
    dry_run: DryRunOption = False,
    url: UrlOption = None,
    data: DataOption = config.DATA,
) -> None:
    """Delete dead letters for good."""
    if not (ids or topic or reason or everything):
        raise UsageError("purge deletes for good: give ids, --topic, --reason, or --all")

    async def act(bus: Bus, chosen: Topic[Any], wanted: list[str]) -> int:
        return await bus.purge_dead(chosen, wanted)

    choice = _Choice(topic, reason, ids, ALL)
    asyncio.run(
        _act(choice, act, "deleted", dry_run=dry_run, url=factory.find_redis_url(url, data))
    )


async def _act(choice: _Choice, action: Action, done: str, *, dry_run: bool, url: str) -> None:
    """Do something with the chosen letters, or say what would be done."""
    async with factory.connect(url) as bus:
        found = await choice.by_topic(bus)
        if dry_run:
            letters = [letter for _, some in found for letter in some]
            stdout().print(tables.dead(letters))
            stdout().print(f"{len(letters)} would be {done}", highlight=False)
            return
        count = 0
        for topic, letters in found:
            count += await action(bus, topic, [letter.id for letter in letters])
    missing = set(choice.ids or ()) - {letter.id for _, some in found for letter in some}
    stdout().print(f"{count} {done}", highlight=False)
    if missing:
        raise ConsoleError(f"no dead letter has the id {', '.join(sorted(missing))}")


def _as_dict(stored: StoredDeadLetter) -> dict[str, Any]:
    return {"id": stored.id, **stored.letter.model_dump(mode="json")}
