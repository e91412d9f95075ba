"""Asks where topics and groups stand."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import hiredis

from streamdesk.bus import Bus, BusError, GroupLag
from streamdesk.bus.address import parse_address
from streamdesk.bus.layout import parts_of
from streamdesk.console.adapters import desk_bus
from streamdesk.console.adapters.redis_questions import NoAnswerError, ask, pairs
from streamdesk.console.application.doctor.redis_reader import server_of
from streamdesk.console.application.doctor.topics import GroupFacts, TopicFacts, check_topics
from streamdesk.console.domain.finding import CHECKS, Finding, merged, unknown
from streamdesk.contracts.base import Topic

ADVICE = "see redis.server; a user must be allowed what `streamdesk bus lag` needs"

Groups = Mapping[str, frozenset[str] | None]
"""Names of a stream's groups by its key; None for a stream that does not exist."""


async def examine_topics(url: str, topics: Iterable[Topic[Any]]) -> list[Finding]:
    """The checks of all topics. One that cannot be read is said, and hides no other."""
    read = list[tuple[TopicFacts, list[GroupFacts]]]()
    refused: dict[str, list[str]] = {}
    chosen = list(topics)
    async with desk_bus.connect(url) as bus:
        if why := await _silence(bus):  # or each topic would wait for itself
            return [unknown(f"topics.{name}", why, ADVICE) for name in CHECKS["topics"]]
        answers = await asyncio.gather(
            *(_one(bus, url, topic) for topic in chosen), return_exceptions=True
        )
    for topic, answer in zip(chosen, answers, strict=True):
        if isinstance(answer, (BusError, NoAnswerError)):
            refused.setdefault(str(answer), []).append(topic.name)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            read.append(answer)
    why = "; ".join(f"{', '.join(names)}: {said}" for said, names in refused.items())
    if not read:
        return [unknown(f"topics.{name}", why, ADVICE) for name in CHECKS["topics"]]
    findings = check_topics([topic for topic, _ in read], [one for _, row in read for one in row])
    if not refused:
        return findings
    return [
        merged(one.check, [one, unknown(one.check, why, ADVICE)], one.found) for one in findings
    ]


async def _silence(bus: Bus) -> str:
    """Why the server says nothing; empty when it speaks."""
    try:
        return "" if await bus.ping() else "the server does not answer"
    except BusError as error:
        return str(error)


async def _one(bus: Bus, url: str, topic: Topic[Any]) -> tuple[TopicFacts, list[GroupFacts]]:
    rows = await bus.lag(topic)
    groups = await _groups(url, topic) if topic.groups else {}
    streams = {stream.key: stream.length for row in rows for stream in row.streams}
    longest = max(streams, key=lambda key: streams[key], default=topic.key)
    facts = TopicFacts(
        name=topic.name,
        dead=max(row.dead for row in rows),
        longest=longest,
        length=streams.get(longest, 0),
        cap=topic.hard_cap,
    )
    return facts, [_group(topic, row, groups) for row in rows if row.group]


def _group(topic: Topic[Any], row: GroupLag, groups: Groups) -> GroupFacts:
    there = {key: names for key, names in groups.items() if names is not None}
    consumer = next(one for one in topic.consumers if one.group == row.group)
    return GroupFacts(
        topic=topic.name,
        group=row.group,
        service=consumer.service,
        streams=len(there),
        without=tuple(key for key, names in there.items() if row.group not in names),
        waiting=row.waiting,
        pending=row.pending,
        delayed=row.delayed,
        oldest_seconds=row.oldest_pending_seconds,
        active=row.active_consumers,
        limit=topic.max_backlog,
    )


async def _groups(url: str, topic: Topic[Any]) -> Groups:
    address = parse_address(url)
    keys = [key for part in parts_of(topic) for key in part.streams]
    host = await server_of(address)
    select = ("SELECT", address.database)
    questions = [("XINFO", "GROUPS", key) for key in keys]
    (_, *answers), _ = await ask(address, host, address.login, select, *questions)
    found: dict[str, frozenset[str] | None] = {}
    for key, answer in zip(keys, answers, strict=True):
        if not isinstance(answer, hiredis.ReplyError):
            found[key] = frozenset(pairs(row[:2])["name"] for row in answer)
        elif "no such key" in str(answer):
            found[key] = None
        else:
            raise NoAnswerError(f"the server refuses a question: {answer}")
    return found
