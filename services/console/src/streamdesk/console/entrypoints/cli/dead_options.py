"""Which dead letters are meant: options that list, redrive and purge share."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from streamdesk.bus import DeadFilter
from streamdesk.console.domain.moments import EXPECTED, moment
from streamdesk.console.errors import UsageError

IdsArgument = Annotated[
    list[str] | None, typer.Argument(help="Ids of letters; all without.", show_default=False)
]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", help="Only with this reason.", show_default=False)
]
GroupOption = Annotated[
    str | None, typer.Option("--group", help="Only given up by this group.", show_default=False)
]
TypeOption = Annotated[
    str | None, typer.Option("--type", help="Only events of this type.", show_default=False)
]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", help=f"Only put aside then or later: {EXPECTED}.", show_default=False),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", help="Only put aside before then.", show_default=False)
]
ContainsOption = Annotated[
    str | None,
    typer.Option(
        "--contains",
        help="Only with this text in the body, the error or the event's id.",
        show_default=False,
    ),
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, help="At most so many, oldest first.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")]


def filter_of(
    *,
    reason: str | None,
    group: str | None,
    type_name: str | None,
    since: str | None,
    until: str | None,
    contains: str | None,
) -> DeadFilter | None:
    """What the options say; None when they say nothing.

    Raises:
        UsageError: a time that is none, or a span that ends before it begins.
    """
    given = (reason, group, type_name, since, until, contains)
    if all(value is None for value in given):
        return None
    now = datetime.now(UTC)
    first = moment("--since", since, now) if since is not None else None
    last = moment("--until", until, now) if until is not None else None
    if first and last and last < first:
        raise UsageError(f"--until {until} lies before --since {since}")
    return DeadFilter(
        reason=reason,
        group=group,
        event_type=type_name,
        since=first,
        until=last,
        contains=contains,
    )
