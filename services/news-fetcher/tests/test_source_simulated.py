from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from streamdesk.news_fetcher.adapters.news_source import NewsQuery
from streamdesk.news_fetcher.adapters.simulated.headlines import (
    COMPANIES,
    HEADLINES,
    STRANGERS,
    Tone,
)
from streamdesk.news_fetcher.adapters.simulated.source import DECK, SimulatedNewsSource
from streamdesk.news_fetcher.domain.articles import FetchLimits, RawArticle, accept

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
ALL = NewsQuery(ticker=None, since=NOW - timedelta(hours=1), until=NOW)


def source(seed: int = 1, per_round: int = 4, now: datetime = NOW) -> SimulatedNewsSource:
    return SimulatedNewsSource(seed=seed, articles_per_round=per_round, clock=lambda: now)


async def articles(of: SimulatedNewsSource, rounds: int) -> Sequence[RawArticle]:
    return [article for _ in range(rounds) for article in await of.fetch(ALL)]


async def test_the_same_seed_gives_the_same_articles() -> None:
    assert await articles(source(7), 20) == await articles(source(7), 20)


async def test_another_seed_gives_other_articles() -> None:
    assert await articles(source(7), 5) != await articles(source(8), 5)


async def test_the_same_seed_at_another_time_gives_other_links() -> None:
    later = source(7, now=NOW + timedelta(hours=1))
    links = {article.link for article in await articles(source(7), 10)}
    assert links.isdisjoint({article.link for article in await articles(later, 10)})


async def test_a_round_has_as_many_articles_as_asked_for() -> None:
    assert len(await source(per_round=11).fetch(ALL)) == 11


@pytest.mark.parametrize("seed", range(20))
async def test_two_decks_bring_a_case_for_every_rule_whatever_the_seed(seed: int) -> None:
    drawn = await source(seed, per_round=2 * len(DECK)).fetch(ALL)
    limits = FetchLimits(content_max_chars=1_000, future_tolerance=timedelta(0))
    events = [accept(raw, source="simulated", fetched_at=NOW, limits=limits) for raw in drawn]
    ours = [event for event in events if not COMPANIES.keys().isdisjoint(event.symbols)]
    seen = Counter(event.link_hash for event in events)
    assert any(count > 1 for count in seen.values())
    assert any("utm_" in str(raw.link) for raw in drawn)
    assert any(NOW - event.published_at > timedelta(hours=24) for event in ours)
    assert len(ours) < len(events)
    for tone in Tone:
        leads = tuple(headline.lead.split("{company}")[-1] for headline in HEADLINES[tone])
        assert any(event.content.endswith(leads) for event in ours)


def test_strangers_are_not_on_the_watchlist() -> None:
    assert COMPANIES.keys().isdisjoint(STRANGERS)
