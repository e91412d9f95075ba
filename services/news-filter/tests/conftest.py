"""An article that passes every rule, and rules that it passes."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streamdesk.contracts.events import NewsFetched
from streamdesk.news_filter.domain.rules import FilterRules, SentimentMode

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def make_article() -> Callable[..., NewsFetched]:
    """A good article about Apple, an hour old; `number` gives it another link."""

    def make(number: int = 1, **changes: Any) -> NewsFetched:
        values: dict[str, Any] = {
            "link_hash": f"{number:032x}",
            "title": "Apple beats estimates and raises guidance",
            "content": "Revenue was above expectations.",
            "link": f"https://news.example/{number}",
            "source": "test",
            "published_at": NOW - timedelta(hours=1),
            "fetched_at": NOW,
            "symbols": ("AAPL.US",),
        }
        return NewsFetched(**(values | changes))

    return make


@pytest.fixture
def make_rules() -> Callable[..., FilterRules]:
    def make(**changes: Any) -> FilterRules:
        values: dict[str, Any] = {
            "max_age": timedelta(hours=24),
            "future_tolerance": timedelta(minutes=5),
            "tickers": frozenset({"AAPL.US", "700.HK"}),
            "threshold": 0.5,
            "mode": SentimentMode.POSITIVE,
        }
        return FilterRules(**(values | changes))

    return make
