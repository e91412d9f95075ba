"""Metrics of the fetcher that no single use case owns."""

from collections.abc import Callable
from datetime import datetime

from streamdesk.news_fetcher.adapters.news_source import NewsSource
from streamdesk.runtime import metrics


def show_state(source: NewsSource, *, leading: bool, now: datetime) -> None:
    """Set the gauges of one source.

    The quota is shown by the replica that leads alone: the count of any other is out of date.

    Args:
        source: what is fetched from.
        leading: whether this replica fetches.
        now: the current time.
    """
    metrics.NEWS_FETCHER_ACTIVE.set(leading)
    metrics.NEWS_CIRCUIT_OPEN.labels(source.name).set(source.circuit_open)
    left, exhausted = metrics.NEWS_QUOTA_LEFT, metrics.NEWS_QUOTA_EXHAUSTED
    if leading and source.quota is not None:
        left.labels(source.name).set(source.quota.left(now))
        exhausted.labels(source.name).set(source.quota.exhausted_until(now) is not None)
    else:
        left.clear()
        exhausted.clear()


def request_counter(source: str) -> Callable[[str], None]:
    """What a source calls after each request: with `ok`, or the `reason` of the error.

    Args:
        source: its name, a label of the counters.
    """
    # Both exist from the start: a rate of failures needs the zero before the first.
    success = metrics.NEWS_FETCH_SUCCESS.labels(source)
    metrics.NEWS_FETCH_FAILURE.labels(source, "unavailable")

    def count(outcome: str) -> None:
        if outcome == "ok":
            success.inc()
        else:
            metrics.NEWS_FETCH_FAILURE.labels(source, outcome).inc()

    return count
