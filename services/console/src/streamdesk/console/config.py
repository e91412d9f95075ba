"""What the command can be told: options of `up`, and the variables it shares with the services."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from streamdesk.contracts.base import Topic
from streamdesk.contracts.topics import TOPICS

DATA = Path(".streamdesk")
PAGE_PORT = 8080
ANALYSIS_PORT = 5000
ANALYSIS_PREFIX = "/api/gainer-analysis"

STOP_SECONDS = 5.0  # the promise: from Ctrl-C to the end of the last process
SERVICES_STOP_SECONDS = 3.5  # of them for the services, before they are killed
SERVER_STOP_SECONDS = 0.8  # and for the Redis server, which ends last
GRACE_SECONDS = 3.0  # what the services are told, so that they end by themselves

NEWS_SAMPLE = "sample"  # the recording that comes with the fetcher

_KEY_VARIABLES = {"signals": "SIGNAL_QUEUE_KEY"}


class NewsSource(StrEnum):
    """Where news comes from; the fetcher knows no other."""

    SIMULATED = "simulated"
    RECORDED = "recorded"
    EODHD = "eodhd"


@dataclass(frozen=True, slots=True)
class UpOptions:
    """How a desk is brought up.

    Args:
        executors: processes that execute signals.
        speed: bars a second of each instrument, 0 for as fast as they are taken; None for one
            simulated or ten recorded.
        bars: file or folder with recorded bars instead of the simulated market.
        symbols: instruments; empty for the built-in watchlist.
        news: where news comes from; None for what NEWS_SOURCE says, or simulated.
        news_recording: file or folder of articles, or `sample`; None for what NEWS_RECORDING
            says, or the sample.
        seconds: end by itself after so long; None to run until stopped.
        seed: seed of the simulated market and news; None for their own.
        port: port of the page; None for 8080 or the next free one.
        data: folder for logs, ledger, server and state.
        keep: go on with the data of the last run instead of starting fresh.
    """

    executors: int = 1
    speed: float | None = None
    bars: Path | None = None
    symbols: tuple[str, ...] = ()
    news: NewsSource | None = None
    news_recording: str | None = None
    seconds: float | None = None
    seed: int | None = None
    port: int | None = None
    data: Path = DATA
    keep: bool = False


def redis_url(environment: Mapping[str, str] = os.environ) -> str | None:
    """The server that REDIS_URL names; None when it is not set, or set but empty."""
    return environment.get("REDIS_URL") or None


def topics(environment: Mapping[str, str] = os.environ) -> dict[str, Topic[Any]]:
    """All topics by name, under the keys the services use (SIGNAL_QUEUE_KEY, BARS_KEY …)."""
    return {topic.name: _configured(topic, environment) for topic in TOPICS}


def _configured(topic: Topic[Any], environment: Mapping[str, str]) -> Topic[Any]:
    key = environment.get(_KEY_VARIABLES.get(topic.name, f"{topic.name.upper()}_KEY"))
    return topic.configured(key=key or None)  # set but empty counts as not set
