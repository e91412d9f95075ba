"""Where topics and groups stand. The limits are those of the alerts of the same meaning."""

from collections.abc import Sequence
from dataclasses import dataclass

from streamdesk.console.domain.finding import (
    Finding,
    failed,
    merged,
    not_applicable,
    warning,
)

LAG_WARNING = 1_000
PENDING_WARNING = 100
OLDEST_WARNING_SECONDS = 300.0
LENGTH_WARNING = 50_000
NEAR_SHARE = 0.8
STANDING = ("consumers", "lag", "pending")
LOOK = "`streamdesk bus lag --consumers` shows who is alive and what each holds"


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """One consumer group on one topic.

    Args:
        topic: name of the topic.
        group: its name.
        service: whose processes it has.
        streams: streams of the topic that exist.
        without: those of them on which the group is missing.
        waiting: messages that the group was not given yet.
        pending: messages in hand.
        delayed: messages that wait for their retry.
        oldest_seconds: age of the oldest in hand.
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
    """All that the figures decide."""
    there = [group for group in groups if group.exists]
    standing = (
        [_consumers(there), _lag(there), _pending(there)]
        if there
        else [not_applicable(f"topics.{name}", "no group exists yet") for name in STANDING]
    )
    return [_groups(groups), *standing, _dead(topics), _length(topics)]


def _groups(groups: Sequence[GroupFacts]) -> Finding:
    check = "topics.groups"
    problems = [
        failed(
            check,
            f"group {group.name} is lost on {', '.join(group.without)}",
            f"look who destroyed it (XGROUP DESTROY, FLUSHALL, a restored copy); start or restart "
            f"{group.service}: it makes the group again where it stood",
        )
        for group in groups
        if group.without
    ]
    problems += [
        warning(
            check,
            f"{group.name} was never there: no stream of the topic exists",
            f"start {group.service}, if this desk is to have it",
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
            found = f"{group.name}: {group.pending:,} in hand"
            problems.append(warning(check, found, f"{group.service} is slow or stuck; {LOOK}"))
        if (group.oldest_seconds or 0.0) > OLDEST_WARNING_SECONDS:
            found = f"{group.name}: the oldest in hand is {group.oldest_seconds:,.0f} s old"
            advice = f"a message comes again and again, or its handler hangs: {LOOK}"
            problems.append(warning(check, found, advice))
    well = [f"{one.name}: {one.pending:,} in hand" for one in groups]
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
