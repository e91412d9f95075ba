"""How much arrives, and how much a replica does, from counters of looks that follow each other.

Both come from the server's own counters, so consumers report nothing:

    arrived = change of (delivered + unread)
    done    = change of (delivered - pending)

An interval shows what a replica *can* do only if entries were waiting all the time; otherwise it
shows what was asked of it. The median of the last such intervals is the rate, so a
garbage collection, a failover or a replica that was still starting does not shift it.
"""

import math
from itertools import pairwise
from statistics import median

from streamdesk.operator.domain.history import Count, LagHistory, RateSample
from streamdesk.operator.domain.observation import Observation

ARRIVAL_WINDOW_SECONDS = 60.0
"""Arrivals are a median over this time, unless the last intervals are clearly another."""

RECENT_INTERVALS = 3

RATE_SAMPLES = 9
"""Intervals of which the median counts: one and a half minutes at the default poll."""

CLEARLY_MORE = 1.2
"""An interval with too little to do still counts when replicas did so many times what was known."""

RATE_STALE_SECONDS = 1800.0
"""A rate measured longer ago than this is still used to go up, but may be tested downwards."""

SURE_DEVIATIONS = 3.0
"""The last intervals count alone when a Poisson process would hardly show them by chance."""

SURE_EVENTS = 4.0
"""And when they are more than these few entries off: deviations of zero are zero."""


def learn(history: LagHistory, observation: Observation) -> LagHistory:
    """The history with the counters of this look, and with what they say of a replica."""
    if observation.unread is None or observation.pending is None:
        return history
    if observation.unread_is_lower_bound:
        return history
    now = Count(
        at_seconds=observation.at_seconds,
        delivered=observation.delivered_total,
        unread=observation.unread,
        pending=observation.pending,
        ready=observation.ready_replicas,
    )
    kept = [count for count in history.counts if count.at_seconds < now.at_seconds]
    rates = history.rates
    if kept:
        sample = _sample(kept[-1], now, service_rate(history))
        if sample is not None:
            fresh = sample.at_seconds - RATE_STALE_SECONDS
            rates = (*(old for old in rates if old.at_seconds > fresh), sample)[-RATE_SAMPLES:]
    counts = _window([*kept, now])
    return history.model_copy(update={"counts": counts, "rates": rates})


def _window(counts: list[Count]) -> tuple[Count, ...]:
    """Those of the window, and in any case the last two."""
    start = counts[-1].at_seconds - ARRIVAL_WINDOW_SECONDS
    inside = [count for count in counts if count.at_seconds >= start]
    return tuple(inside if len(inside) > 1 else counts[-2:])


def _sample(before: Count, now: Count, known: float | None) -> RateSample | None:
    """What a replica did between two looks, when that says what it can do."""
    if before.delivered is None or now.delivered is None or now.delivered < before.delivered:
        return None  # the server lost its counters, or never had them
    if now.ready < 1 or before.ready != now.ready:
        return None
    seconds = now.at_seconds - before.at_seconds
    done = (now.delivered - now.pending) - (before.delivered - before.pending)
    if done <= 0:
        return None
    rate = done / seconds / now.ready
    # A second's work for each replica has to lie there at both ends: enough to never run dry.
    enough = now.ready * max(1.0, rate)
    had_enough = min(before.unread, now.unread) >= enough
    if had_enough or (known is not None and rate > known * CLEARLY_MORE):
        return RateSample(at_seconds=now.at_seconds, per_second=rate)
    return None


def service_rate(history: LagHistory) -> float | None:
    """Entries a replica does in a second; None as long as no interval has shown it."""
    if not history.rates:
        return None
    return median(sample.per_second for sample in history.rates)


def is_stale(history: LagHistory, at_seconds: float) -> bool:
    """Whether the rate was measured so long ago that replicas may do more by now."""
    return bool(history.rates) and (at_seconds - history.rates[-1].at_seconds > RATE_STALE_SECONDS)


def arrivals(history: LagHistory) -> float | None:
    """Entries that arrive in a second; None before the second look.

    The median over the window, or that of the last three intervals when the two differ by more
    than chance. So a rate counts when two looks of three have seen it, and a flood of a few
    seconds, which is work to be done once, is never taken for a rate.
    """
    known = [count for count in history.counts if count.delivered is not None]
    rates = [_rate(before, now) for before, now in pairwise(known)]
    if not rates:
        return None
    slow, fast = median(rates), median(rates[-RECENT_INTERVALS:])
    seconds = known[-1].at_seconds - known[max(0, len(known) - 1 - RECENT_INTERVALS)].at_seconds
    expected = slow * seconds
    surely = max(SURE_EVENTS, SURE_DEVIATIONS * math.sqrt(expected))
    return fast if abs(fast * seconds - expected) > surely else slow


def _rate(before: Count, now: Count) -> float:
    """Arrivals a second between two looks; what was deleted unread counts as not arrived."""
    gone = (before.delivered or 0) + before.unread
    arrived = max(0, (now.delivered or 0) + now.unread - gone)
    return arrived / (now.at_seconds - before.at_seconds)


def more_waits(history: LagHistory) -> bool:
    """Whether more waited at the last look than at the one before."""
    return len(history.counts) > 1 and history.counts[-1].unread > history.counts[-2].unread
