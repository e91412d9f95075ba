"""Tables of the bus: lag, streams, consumers, health, dead letters."""

from collections.abc import Mapping, Sequence

from rich.console import RenderableType
from rich.text import Text

from streamdesk.bus import ConsumerHealth, GroupLag, StoredDeadLetter
from streamdesk.console.adapters.terminal.tables import NONE, age, new_table
from streamdesk.event_bus import BusHealth, GroupHealth

DETAIL_WIDTH = 60
BAD = "bold red"
Readers = Mapping[tuple[str, str], Sequence[ConsumerHealth]]
"""A group's consumers, by topic and group."""


def lag(rows: Sequence[GroupLag]) -> RenderableType:
    """The lag of every group."""
    table = new_table()
    table.add_column("topic", overflow="fold")
    table.add_column("group", overflow="fold")
    for name in ("waiting", "pending", "delayed", "dead", "oldest", "active", "added"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.topic,
            row.group or NONE,
            f"{row.waiting:,}" if row.group else NONE,
            f"{row.pending:,}" if row.group else NONE,
            f"{row.delayed:,}" if row.group else NONE,
            Text(f"{row.dead:,}", style=BAD if row.dead else ""),
            age(row.oldest_pending_seconds),
            _active(row.active_consumers) if row.group else NONE,
            f"{row.added:,}",
        )
    return table


def streams(rows: Sequence[GroupLag]) -> RenderableType:
    """The lag of every group on each stream of its topic."""
    table = new_table()
    for name in ("topic", "group", "stream"):
        table.add_column(name, overflow="fold")
    for name in ("length", "waiting", "pending"):
        table.add_column(name, justify="right")
    for row in rows:
        for stream in row.streams:
            table.add_row(
                row.topic,
                row.group or NONE,
                stream.key,
                f"{stream.length:,}",
                f"{stream.waiting:,}" if row.group else NONE,
                f"{stream.pending:,}" if row.group else NONE,
            )
    return table


def consumers(readers: Readers) -> RenderableType:
    """Every consumer of every group."""
    if not any(readers.values()):
        return Text("no group has a consumer")
    table = new_table()
    for name in ("topic", "group", "consumer"):
        table.add_column(name, overflow="fold")
    for name in ("pending", "idle", "state"):
        table.add_column(name, justify="left" if name == "state" else "right")
    for (topic, group), members in readers.items():
        for member in members:
            table.add_row(
                topic,
                group,
                member.name,
                f"{member.pending:,}",
                age(member.idle_seconds),
                Text("active", style="green") if member.active else Text("gone", style=BAD),
            )
    return table


def health(health: BusHealth) -> RenderableType:
    """Each type of events, and the groups that read it."""
    table = new_table()
    table.add_column("type", overflow="fold")
    for name in ("added", "kept", "dead"):
        table.add_column(name, justify="right")
    table.add_column("group", overflow="fold")
    for name in ("active", "waiting", "pending", "delayed", "oldest"):
        table.add_column(name, justify="right")
    for kind, found in health.types.items():
        figures = (
            f"{found.added:,}",
            f"{found.length:,}",
            Text(f"{found.dead:,}", style=BAD if found.dead else ""),
        )
        for group in found.groups or (None,):
            table.add_row(kind.name, *figures, *_group(group))
    return table


def _group(group: GroupHealth | None) -> tuple[str | Text, ...]:
    if group is None:
        return (NONE,) * 6
    return (
        group.group,
        _active(group.active_consumers),
        f"{group.waiting:,}",
        f"{group.pending:,}",
        f"{group.delayed:,}",
        age(group.oldest_pending_seconds),
    )


def _active(count: int) -> Text:
    return Text(f"{count}", style="" if count else BAD)


def dead(letters: Sequence[StoredDeadLetter]) -> RenderableType:
    """A list of dead letters."""
    if not letters:
        return Text("no dead letters")
    table = new_table()
    for name in ("id", "topic", "reason", "event", "attempts", "replays", "died"):
        table.add_column(name, no_wrap=name == "id")
    table.add_column("detail", overflow="ellipsis", no_wrap=True, max_width=DETAIL_WIDTH)
    for stored in letters:
        letter = stored.letter
        table.add_row(
            stored.id,
            letter.topic,
            letter.reason,
            letter.event_type,
            str(len(letter.attempts)),
            str(letter.replays),
            letter.dead_at.strftime("%m-%d %H:%M:%S"),
            letter.detail,
        )
    return table
