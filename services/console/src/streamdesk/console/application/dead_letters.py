"""What a person does with dead letters: find them, put them back, delete them."""

from collections.abc import Sequence
from typing import Any

from streamdesk.bus import Bus, DeadFilter, RedriveReport, StoredDeadLetter
from streamdesk.contracts.base import Topic

ALL = 100_000
Topics = Sequence[Topic[Any]]


async def find_letters(
    bus: Bus, topics: Topics, where: DeadFilter | None, limit: int
) -> list[StoredDeadLetter]:
    """The letters of these topics, the oldest first."""
    letters = [letter for topic in topics for letter in await bus.dead(topic, limit, where)]
    return sorted(letters, key=lambda stored: stored.letter.dead_at)[:limit]


async def find_letter(bus: Bus, topics: Topics, letter_id: str) -> StoredDeadLetter | None:
    """The letter of this id; None if there is none."""
    for topic in topics:
        for stored in await bus.dead(topic, ALL):
            if stored.id == letter_id:
                return stored
    return None


async def missing_ids(bus: Bus, topics: Topics, ids: Sequence[str] | None) -> list[str]:
    """Those of the ids that no letter has."""
    if not ids:
        return []
    known = {stored.id for topic in topics for stored in await bus.dead(topic, ALL)}
    return sorted(set(ids) - known)


async def redrive_letters(
    bus: Bus,
    topics: Topics,
    ids: Sequence[str] | None,
    where: DeadFilter | None,
    *,
    limit: int,
    rate_per_second: float | None,
    max_replays: int | None,
    dry_run: bool,
) -> list[RedriveReport]:
    """Put letters back where they came from; returns a report for each topic.

    Args:
        bus: where they are.
        topics: whose letters.
        ids: only these; None or empty for all.
        where: only those that it lets pass.
        limit: most letters over all topics.
        rate_per_second: how many at most; None for no limit.
        max_replays: letters that were put back so often already stay.
        dry_run: only report what would be put back.
    """
    reports: list[RedriveReport] = []
    left = limit
    for topic in topics:
        # The limit is one for all topics: what one topic used up is not left for the next.
        if left <= 0:
            break
        report = await bus.redrive(
            topic,
            ids or None,
            left,
            where=where,
            rate_per_second=rate_per_second,
            max_replays=max_replays,
            dry_run=dry_run,
        )
        reports.append(report)
        left -= len(report.letters)
    return reports


async def purge_letters(
    bus: Bus,
    topics: Topics,
    ids: Sequence[str] | None,
    where: DeadFilter | None,
    *,
    limit: int,
    dry_run: bool,
) -> list[StoredDeadLetter]:
    """Delete letters permanently; returns them, or with `dry_run` those that would be deleted."""
    purged: list[StoredDeadLetter] = []
    for topic in topics:
        letters = await bus.dead(topic, ALL, where)
        chosen = [stored for stored in letters if not ids or stored.id in ids]
        chosen = chosen[: limit - len(purged)]
        if chosen and not dry_run:
            await bus.purge_dead(topic, [stored.id for stored in chosen])
        purged += chosen
    return purged
