"""The gateway's channel tree: where an event is seen, and which channel carries which.

    events:tasks    <- events:task:{id}
    events:market   <- events:market:{code}
    events:signals  <- events:signals:{code}
    events:orders   <- events:orders:{code}
    events:news     <- events:news:{code}
    events:indicators <- events:indicators:{code}
    events:system
    user:{id}                                 private to one user

A parent carries all that its children carry. A {code} may be spelled in any way that is known of
an instrument; `canonical_channel` gives the name that events are sent to.
"""

import re
from collections.abc import Callable

from streamdesk.contracts.base import Event
from streamdesk.contracts.events import (
    BarClosed,
    HamaChanged,
    NewsFetched,
    OrderEvent,
    PortfolioValued,
    SignalGenerated,
    StockIndicatorsCompleted,
    TaskEvent,
)
from streamdesk.contracts.symbols import canonical_symbol, is_instrument

ROOTS = (
    "events:tasks",
    "events:market",
    "events:indicators",
    "events:system",
    "events:signals",
    "events:orders",
    "events:news",
)
_TASK_PREFIX = "events:task:"
_PARENTS = {
    _TASK_PREFIX: "events:tasks",
    "events:market:": "events:market",
    "events:indicators:": "events:indicators",
    "events:signals:": "events:signals",
    "events:orders:": "events:orders",
    "events:news:": "events:news",
}
_LEAF = re.compile(
    r"^(events:(?:task|market|indicators|signals|orders|news):|user:)[A-Za-z0-9_.\-@]{1,100}$"
)


def is_channel(name: str) -> bool:
    """Whether a client may name this channel at all."""
    return name in ROOTS or _LEAF.match(name) is not None


def canonical_channel(name: str) -> str:
    """The channel of an instrument under its one spelling; any other name as it is.

    `events:market:0700.hk` is `events:market:700.HK`.
    """
    place = name.rfind(":") + 1
    prefix, symbol = name[:place], canonical_symbol(name[place:])
    is_code = prefix in _PARENTS and prefix != _TASK_PREFIX
    return f"{prefix}{symbol}" if is_code and is_instrument(symbol) else name


def parent_of(channel: str) -> str | None:
    """The channel that carries all of this one, if there is one."""
    for prefix, parent in _PARENTS.items():
        if channel.startswith(prefix):
            return parent
    return None


def with_parents(channels: tuple[str, ...]) -> tuple[str, ...]:
    """The channels and their parents, each once, in order."""
    parents = (parent_of(channel) for channel in channels)
    return tuple(dict.fromkeys([*channels, *(parent for parent in parents if parent)]))


def _of_task(event: TaskEvent) -> tuple[str, ...]:
    return (f"events:task:{event.task_id}",)


def _of_indicators(event: StockIndicatorsCompleted) -> tuple[str, ...]:
    return (f"events:indicators:{event.symbol}", f"events:task:{event.task_id}")


def _of_news(event: NewsFetched) -> tuple[str, ...]:
    return tuple(f"events:news:{symbol}" for symbol in event.symbols) or ("events:news",)


# The first row whose type fits decides.
_RULES: tuple[tuple[type[Event], Callable[..., tuple[str, ...]]], ...] = (
    (StockIndicatorsCompleted, _of_indicators),
    (TaskEvent, _of_task),
    (HamaChanged, lambda event: (f"events:indicators:{event.symbol}",)),
    (BarClosed, lambda event: (f"events:market:{event.symbol}",)),
    (SignalGenerated, lambda event: (f"events:signals:{event.symbol}",)),
    (OrderEvent, lambda event: (f"events:orders:{event.symbol}",)),
    (PortfolioValued, lambda _event: ("events:orders",)),
    (NewsFetched, _of_news),
)


def channels_of(event: Event) -> tuple[str, ...]:
    """Every channel an event is seen on, parents included, each once."""
    for kind, rule in _RULES:
        if isinstance(event, kind):
            return with_parents(rule(event))
    return ("events:system",)
