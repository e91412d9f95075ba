"""Topics and groups: what the bus says of them, and what it means.

The limits are those of the alerts of the same meaning.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import hiredis

from streamdesk.bus import Bus, BusError, GroupLag
from streamdesk.bus.connection import parse_address
from streamdesk.bus.topic_keys import partitions_of
from streamdesk.console.adapters import desk_bus
from streamdesk.console.adapters.redis_questions import NoAnswerError, ask, pairs
from streamdesk.console.application.doctor.sentinels import server_of
from streamdesk.console.domain.finding import (
    CHECKS,
    Finding,
    failed,
    merged,
    not_applicable,
    unknown,
    warning,
)
from streamdesk.contracts.base import Topic

LAG_WARNING = 1_000
PENDING_WARNING = 100
OLDEST_WARNING_SECONDS = 300.0
LENGTH_WARNING = 50_000
NEAR_SHARE = 0.8
OF_GROUPS = ("consumers", "lag", "pending")
LOOK = "`streamdesk bus lag --consumers` shows the consumers that are alive and what each holds"
ADVICE = "see redis.server; a user must be allowed what `streamdesk bus lag` needs"

Groups = Mapping[str, frozenset[str] | None]
"""Names of a stream's groups by its key; None for a stream that does not exist."""


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """One consumer group on one topic.

    Args:
        topic: name of the topic.
        group: its name.
        service: whose processes it has.
        streams: streams of the topic that exist.
        without: those of them on which the group is missing.
        waiting: messages that no consumer has been given yet.
        pending: messages that a consumer has and has not finished.
        delayed: messages that wait for their retry.
        oldest_seconds: age of the oldest pending message.
        active: consumers that are alive.
        limit: unfinished messages at which publishes are refused; None for no limit.
    """

    topic: str
    group: str
    service: str
    streams: int
    without: tuple[str, ...] = ()
    waiting: int = 0
    pending: int = 0
    delayed: int = 0
    oldest_seconds: float | None = None
    active: int = 0
    limit: int | None = None

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.group} on {self.topic}"

    @property
    def exists(self) -> bool:
        """Whether it is there at all."""
        return self.streams > len(self.without)


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """One topic.

    Args:
        name: its name.
        dead: its dead letters.
        longest: key of its longest stream.
        length: entries on that.
        cap: entries at which publishes are refused.
    """

    name: str
    dead: int
    longest: str
    length: int
    cap: int


def check_topics(topics: Sequence[TopicFacts], groups: Sequence[GroupFacts]) -> list[Finding]:
    """The findings from the figures of all topics and groups."""
    there = [group for group in groups if group.exists]
    of_groups = (
        [_consumers(there), _lag(there), _pending(there)]
        if there
        else [not_applicable(f"topics.{name}", "no group exists yet") for name in OF_GROUPS]
    )
    return [_groups(groups), *of_groups, _dead(topics), _length(topics)]


def _groups(groups: Sequence[GroupFacts]) -> Finding:
    check = "topics.groups"
    problems = [
        failed(
            check,
            f"group {group.name} is lost on {', '.join(group.without)}",
            "find out what destroyed it (XGROUP DESTROY, FLUSHALL, a restored copy); start or "
            f"restart {group.service}: it recreates the group at its last position",
        )
        for group in groups
        if group.without
    ]
    problems += [
        warning(
            check,
            f"{group.name} was never there: no stream of the topic exists",
            f"start {group.service}, if this desk needs it",
        )
        for group in groups
        if not group.streams
    ]
    return merged(check, problems, ", ".join(group.name for group in groups))


def _consumers(groups: Sequence[GroupFacts]) -> Finding:
    check = "topics.consumers"
    problems = [
        failed(
            check,
            f"{group.name} has no consumer that is alive, {group.waiting:,} messages wait",
            f"start {group.service}, or look at its log and /readyz; {LOOK}",
        )
        for group in groups
        if not group.active
    ]
    return merged(check, problems, ", ".join(f"{one.name}: {one.active}" for one in groups))


def _lag(groups: Sequence[GroupFacts]) -> Finding:
    check = "topics.lag"
    problems: list[Finding] = []
    for group in groups:
        unfinished = group.waiting + group.pending + group.delayed
        found = f"{group.name}: {group.waiting:,} wait"
        advice = f"start more of {group.service}; {LOOK}"
        if group.limit is not None and unfinished >= group.limit:
            full = f"{found}, the queue is full ({group.limit:,}): publishes are refused"
            problems.append(failed(check, full, advice))
        elif group.limit is not None and unfinished >= NEAR_SHARE * group.limit:
            near = f"{found}, the queue takes {group.limit:,}"
            problems.append(warning(check, near, advice))
        elif group.waiting > LAG_WARNING:
            problems.append(warning(check, found, advice))
    return merged(check, problems, ", ".join(f"{one.name}: {one.waiting:,}" for one in groups))


def _pending(groups: Sequence[GroupFacts]) -> Finding:
    check = "topics.pending"
    problems: list[Finding] = []
    for group in groups:
        if group.pending > PENDING_WARNING:
            found = f"{group.name}: {group.pending:,} pending"
            problems.append(warning(check, found, f"{group.service} is slow or stuck; {LOOK}"))
        if (group.oldest_seconds or 0.0) > OLDEST_WARNING_SECONDS:
            found = f"{group.name}: the oldest pending message is {group.oldest_seconds:,.0f} s old"
            advice = f"a message is redelivered repeatedly, or its handler hangs: {LOOK}"
            problems.append(warning(check, found, advice))
    well = [f"{one.name}: {one.pending:,} pending" for one in groups]
    return merged(check, problems, ", ".join(well))


def _dead(topics: Sequence[TopicFacts]) -> Finding:
    check = "topics.dead-letters"
    problems = [
        warning(
            check,
            f"{topic.name}: {topic.dead:,}",
            f"`streamdesk bus dead list --topic {topic.name}` says why; repair the cause, then "
            f"`streamdesk bus dead redrive --topic {topic.name} --dry-run`",
        )
        for topic in topics
        if topic.dead
    ]
    return merged(check, problems, "none")


def _length(topics: Sequence[TopicFacts]) -> Finding:
    check = "topics.length"
    problems: list[Finding] = []
    for topic in topics:
        found = f"{topic.longest} has {topic.length:,} entries of {topic.cap:,}"
        advice = f"a group of {topic.name} does not read: start its consumers, or destroy the group"
        if topic.length >= topic.cap:
            problems.append(failed(check, f"{found}: publishes are refused", advice))
        elif topic.length > LENGTH_WARNING or topic.length >= NEAR_SHARE * topic.cap:
            problems.append(warning(check, found, advice))
    longest = max(topics, key=lambda topic: topic.length, default=None)
    well = f"the longest is {longest.longest} with {longest.length:,}" if longest else "no topics"
    return merged(check, problems, well)


async def examine_topics(url: str, topics: Iterable[Topic[Any]]) -> list[Finding]:
    """The checks of all topics. One that cannot be read is reported, and hides no other."""
    chosen = list(topics)
    async with desk_bus.connect(url) as bus:
        # Asked once, and first: otherwise each topic would wait for its own time-out.
        if why := await _silence(bus):
            return _unreadable(why)
        answers = await asyncio.gather(
            *(_one(bus, url, topic) for topic in chosen), return_exceptions=True
        )
    read = [answer for answer in answers if not isinstance(answer, BaseException)]
    why = _refusals(chosen, answers)
    if not read:
        return _unreadable(why)
    findings = check_topics([topic for topic, _ in read], [one for _, row in read for one in row])
    if not why:
        return findings
    # What could be read is still judged; each check says as well which topics it does not cover.
    return [
        merged(one.check, [one, unknown(one.check, why, ADVICE)], one.found) for one in findings
    ]


def _unreadable(why: str) -> list[Finding]:
    return [unknown(f"topics.{name}", why, ADVICE) for name in CHECKS["topics"]]


def _refusals(topics: Sequence[Topic[Any]], answers: Sequence[object]) -> str:
    """Which topics the server does not show, and why; empty when it shows all.

    Raises:
        BaseException: an answer that is a fault of the doctor's.
    """
    refused: dict[str, list[str]] = {}
    for topic, answer in zip(topics, answers, strict=True):
        if isinstance(answer, (BusError, NoAnswerError)):
            # One right that is missing refuses many topics: the reason is given once for all.
            refused.setdefault(str(answer), []).append(topic.name)
        elif isinstance(answer, BaseException):
            raise answer
    return "; ".join(f"{', '.join(names)}: {said}" for said, names in refused.items())


async def _silence(bus: Bus) -> str:
    """Why the server does not answer; empty when it does."""
    try:
        return "" if await bus.ping() else "the server does not answer"
    except BusError as error:
        return str(error)


async def _one(bus: Bus, url: str, topic: Topic[Any]) -> tuple[TopicFacts, list[GroupFacts]]:
    rows = await bus.lag(topic)
    groups = await _groups_on_streams(url, topic) if topic.groups else {}
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


async def _groups_on_streams(url: str, topic: Topic[Any]) -> Groups:
    address = parse_address(url)
    keys = [key for part in partitions_of(topic) for key in part.streams]
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
