"""When the next message may leave, and what is in it."""

import math
from dataclasses import dataclass

from streamdesk.alert_relay.domain.alert_group import SEVERITIES, AlertGroup
from streamdesk.alert_relay.domain.journal import AlertJournal

AT_ONCE = 3
"""One in so many of a window's messages may leave as fast as news comes."""


@dataclass(frozen=True, slots=True)
class SendQuota:
    """How fast the robot is used.

    Args:
        messages: in a window at most.
        window_seconds: length of the window, which slides.
        reserved: of the messages so many are kept for what is critical.
    """

    messages: int
    window_seconds: float
    reserved: int


@dataclass(frozen=True, slots=True)
class Send:
    """A message may leave now.

    Args:
        groups: what is to be told, the most urgent first. One of them: it is told in full;
            several: as many as fit are told in a digest.
    """

    groups: tuple[AlertGroup, ...]


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing may leave now.

    Args:
        until: when to look again, seconds since 1970; infinity: when there is news.
    """

    until: float


def next_step(journal: AlertJournal, quota: SendQuota, now: float) -> Send | Rest:
    """What to do now.

    Criticals first. The first messages of a window leave as they come, one a group; the others
    evenly until the first of the window counts no more, and take along what has come meanwhile. So
    what comes late in a bad minute waits for seconds, not for the next minute.
    """
    queue = sorted(journal.waiting.values(), key=_order)
    if not queue:
        return Rest(math.inf)
    if now < journal.quiet_until:
        return Rest(journal.quiet_until)
    sent = sorted(moment for moment in journal.sent if moment > now - quota.window_seconds)
    urgent = [group for group in queue if group.urgent]
    most = quota.messages if urgent else quota.messages - quota.reserved
    left = most - len(sent)
    if left <= 0:
        return Rest(sent[-most] + quota.window_seconds)
    at_once = most // AT_ONCE - len(sent)
    # What is critical is only slowed down for the last messages that are left.
    slow = left < quota.reserved if urgent else at_once <= 0
    if slow and sent:
        ready = sent[-1] + (sent[0] + quota.window_seconds - sent[-1]) / (left + 1)
        if now < ready:
            return Rest(ready)
    # What the robot refused once is told alone, so that it takes nothing else along.
    alone = [group for group in queue if group.refusals]
    together = [group for group in queue if not group.refusals]
    if alone and (not together or not together[0].urgent):
        return Send((alone[0],))
    one_by_one = len(urgent or together) <= at_once or len(together) == 1
    return Send((together[0],) if one_by_one else tuple(together))


def _order(group: AlertGroup) -> tuple[bool, int, float]:
    return not group.urgent, SEVERITIES.index(group.severity), group.since
