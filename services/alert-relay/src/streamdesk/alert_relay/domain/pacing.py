"""When the next message may be sent, and which groups it reports."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from streamdesk.alert_relay.domain.alert_group import SEVERITIES, AlertGroup
from streamdesk.alert_relay.domain.journal import AlertJournal

AT_ONCE = 3
"""One in so many of a window's messages is sent without delay."""


@dataclass(frozen=True, slots=True)
class SendQuota:
    """How many messages the robot may be sent.

    Args:
        messages: in a window at most.
        window_seconds: length of the window, which slides.
        reserved: how many of the messages are kept for critical alerts.
    """

    messages: int
    window_seconds: float
    reserved: int


@dataclass(frozen=True, slots=True)
class Send:
    """A message may be sent now.

    Args:
        groups: what it reports, the most urgent first. A single group is reported in full; of
            several, a digest reports as many as fit.
    """

    groups: tuple[AlertGroup, ...]


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing may be sent now.

    Args:
        until: when to check again, seconds since 1970; infinity: when a notification arrives.
    """

    until: float


@dataclass(frozen=True, slots=True)
class _Allowance:
    """What the quota leaves for the next message.

    Args:
        sent: when the messages of the window were sent, the oldest first.
        most: messages allowed in the window.
        urgent: whether something critical waits.
    """

    sent: Sequence[float]
    most: int
    urgent: bool

    @property
    def left(self) -> int:
        """Messages that may still be sent in this window."""
        return self.most - len(self.sent)

    @property
    def at_once(self) -> int:
        """How many of these may be sent without delay."""
        return self.most // AT_ONCE - len(self.sent)


def next_step(journal: AlertJournal, quota: SendQuota, now: float) -> Send | Rest:
    """What to do now.

    Critical groups come first. The first messages of a window are sent as groups arrive, one group
    each. The others are spread evenly until the oldest message leaves the window, and report what
    arrived meanwhile. A late arrival in a busy window waits for seconds, not for the next window.
    """
    queue = sorted(journal.waiting.values(), key=_order)
    if not queue:
        return Rest(math.inf)
    if now < journal.quiet_until:
        return Rest(journal.quiet_until)
    allowance = _allowance(journal, quota, now, urgent=any(group.urgent for group in queue))
    return _rest(allowance, quota, now) or Send(_chosen(queue, allowance))


def _allowance(journal: AlertJournal, quota: SendQuota, now: float, *, urgent: bool) -> _Allowance:
    sent = sorted(moment for moment in journal.sent if moment > now - quota.window_seconds)
    # A burst of warnings must not use up the window: an outage that follows it is still reported.
    most = quota.messages if urgent else quota.messages - quota.reserved
    return _Allowance(sent, most, urgent)


def _rest(allowance: _Allowance, quota: SendQuota, now: float) -> Rest | None:
    """The wait that the quota asks for; None when a message may be sent now."""
    sent, left = allowance.sent, allowance.left
    if left <= 0:
        # One slot becomes free when the message that fills the quota leaves the window. With
        # messages above this quota (critical ones used the reserve) it is not the oldest one.
        return Rest(sent[-allowance.most] + quota.window_seconds)
    # A critical group must not wait while there is room; only the last messages are spread, so
    # that a series of outages does not use up the window. Anything else keeps the fast messages
    # for the start of a burst, where a person needs them most.
    spread = left < quota.reserved if allowance.urgent else allowance.at_once <= 0
    if not spread or not sent:
        return None
    # Even steps until the oldest message leaves the window, one for each message left.
    ready = sent[-1] + (sent[0] + quota.window_seconds - sent[-1]) / (left + 1)
    return Rest(ready) if now < ready else None


def _chosen(queue: Sequence[AlertGroup], allowance: _Allowance) -> tuple[AlertGroup, ...]:
    """The groups of the next message; `queue` is in order and not empty."""
    # The robot refuses a whole message: a group that it refused before would take others along.
    refused = [group for group in queue if group.refusals]
    others = [group for group in queue if not group.refusals]
    # A refused group goes before others, so that it cannot starve, but not before critical ones.
    if refused and not (others and others[0].urgent):
        return (refused[0],)
    # While messages are left, each group gets one of its own: a full report reads best. Critical
    # groups count alone, because warnings that wait as well can follow in a digest.
    urgent = [group for group in queue if group.urgent]
    if len(urgent or others) <= allowance.at_once:
        return (others[0],)
    return tuple(others)


def _order(group: AlertGroup) -> tuple[bool, int, float]:
    return not group.urgent, SEVERITIES.index(group.severity), group.since
