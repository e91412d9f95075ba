"""The bus as a person looks at it: where it is, its topics, a connection for looking."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from streamdesk.bus import Bus, BusConfig, BusConfigError, BusUnavailableError
from streamdesk.console import config
from streamdesk.console.adapters.folder import Folder
from streamdesk.console.errors import ConsoleError, UsageError
from streamdesk.contracts.base import Topic
from streamdesk.contracts.topics import BARS_HANDLED, MARKET_BARS, TOPICS, bars_handled

NAME = "console"
TIMEOUT_SECONDS = 2.0  # a person waits
_KEY_VARIABLES = {"signals": "SIGNAL_QUEUE_KEY"}


def find_redis_url(url: str | None, data: Path) -> str:
    """Where the bus is: as asked for, as REDIS_URL says, or of the desk that runs here.

    Raises:
        NoDeskError: none of the three.
    """
    return url or config.redis_url() or Folder(data).running().redis_url


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Bus]:
    """A bus for looking; it gives up early.

    What the bus raises inside the block becomes an error of the command.

    Raises:
        UsageError: the URL, or what was asked of the bus, is invalid.
        ConsoleError: the server does not answer.
    """
    try:
        settings = BusConfig(url=url, service=NAME, socket_timeout_seconds=TIMEOUT_SECONDS)
        async with Bus.connect(settings) as bus:
            yield bus
    except BusConfigError as error:
        raise UsageError(str(error)) from error
    except BusUnavailableError as error:
        raise ConsoleError(f"Redis does not answer ({error}); is the server up?") from error


def topics(environment: Mapping[str, str] = os.environ) -> dict[str, Topic[Any]]:
    """All topics by name, under the keys that the services use (SIGNAL_QUEUE_KEY, BARS_KEY …)."""
    return {topic.name: _configured(topic, environment) for topic in TOPICS}


def _configured(topic: Topic[Any], environment: Mapping[str, str]) -> Topic[Any]:
    if topic.name == BARS_HANDLED.name:
        return bars_handled(environment.get("BARS_KEY") or MARKET_BARS.key)
    key = environment.get(_KEY_VARIABLES.get(topic.name, f"{topic.name.upper()}_KEY"))
    return topic.configured(key=key or None)  # set but empty counts as not set


def topic_named(name: str) -> Topic[Any]:
    """The topic of this name or key.

    Raises:
        UsageError: there is none; the message lists all.
    """
    known = topics()
    found = known.get(name) or next((t for t in known.values() if t.key == name), None)
    if found is None:
        raise UsageError(f"no topic is called {name!r}; there are {', '.join(known)}")
    return found


def topics_named(name: str | None) -> list[Topic[Any]]:
    """The topic of this name, or all without one.

    Raises:
        UsageError: there is none of this name.
    """
    return [topic_named(name)] if name else list(topics().values())
