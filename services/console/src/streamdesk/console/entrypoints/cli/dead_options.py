"""Which dead letters are meant: options that list, redrive and purge share."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

import typer

from streamdesk.bus import DeadFilter
from streamdesk.console.domain.moments import EXPECTED, moment
from streamdesk.console.entrypoints.cli.options import TopicOption
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


@dataclass(frozen=True, slots=True)
class LetterSelection:
    """The letters that a command means; each field is an option of list, redrive and purge."""

    topic: TopicOption = None
    reason: ReasonOption = None
    group: GroupOption = None
    type_name: TypeOption = None
    since: SinceOption = None
    until: UntilOption = None
    contains: ContainsOption = None
    limit: LimitOption = 100

    def where(self) -> DeadFilter | None:
        """What the options say beside the topic; None when they say nothing.

        Raises:
            UsageError: a time that is none, or a span that ends before it begins.
        """
        given = (
            *(self.reason, self.group, self.type_name),
            *(self.since, self.until, self.contains),
        )
        if all(value is None for value in given):
            return None
        now = datetime.now(UTC)
        first = moment("--since", self.since, now) if self.since is not None else None
        last = moment("--until", self.until, now) if self.until is not None else None
        if first and last and last < first:
            raise UsageError(f"--until {self.until} lies before --since {self.since}")
        return DeadFilter(
            reason=self.reason,
            group=self.group,
            event_type=self.type_name,
            since=first,
            until=last,
            contains=self.contains,
        )


def selecting(command: Callable[..., None], *, limit: int = 100) -> Callable[..., None]:
    """A command with the options of a selection in the place of its first parameter.

    Args:
        command: takes the selection, then options of its own.
        limit: the default of `--limit`.
    """
    options = [
        Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=limit if field.name == "limit" else field.default,
            annotation=field.type,
        )
        for field in fields(LetterSelection)
    ]
    own = list(signature(command).parameters.values())[1:]
    # Arguments come before options in the help whatever their place here.
    parameters = [*options, *(one.replace(kind=Parameter.KEYWORD_ONLY) for one in own)]

    @wraps(command)
    def selected(**values: Any) -> None:  # noqa: ANN401 - options of any type
        chosen = {field.name: values.pop(field.name) for field in fields(LetterSelection)}
        command(LetterSelection(**chosen), **values)

    # The command line is built from these two.
    selected.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    selected.__annotations__ = {one.name: one.annotation for one in parameters}
    return selected
