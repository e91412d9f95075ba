"""A source that makes its articles up: the same seed and clock give the same articles.

It brings everything that the rules behind it are about: good, bad and neutral news about the
desk's instruments, news about others, news older than a day, and the same link again, plain and
with tracking parameters. All kinds are dealt from one shuffled deck after
another, so that each comes regularly, whatever the seed.
"""

import random
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from streamdesk.news_fetcher.adapters.news_source import NewsQuery
from streamdesk.news_fetcher.adapters.simulated.headlines import (
    COMPANIES,
    HEADLINES,
    STRANGERS,
    Headline,
    Tone,
)
from streamdesk.news_fetcher.domain.articles import RawArticle
from streamdesk.news_fetcher.domain.quota import Quota

REPEATABLE = 50  # how many of the latest articles may come again
FRESH_SECONDS = (5, 900)
STALE_SECONDS = (25 * 3600, 72 * 3600)


class Kind(StrEnum):
    """What a simulated article shows."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    NEUTRAL = "neutral"
    STRANGER = "stranger"
    STALE = "stale"
    REPEATED = "repeated"
    TRACKED = "tracked"


DECK: tuple[Kind, ...] = (
    *(Kind.POSITIVE,) * 7,
    *(Kind.NEGATIVE,) * 4,
    *(Kind.NEUTRAL,) * 3,
    *(Kind.STRANGER,) * 2,
    *(Kind.STALE,) * 2,
    Kind.REPEATED,
    Kind.TRACKED,
)
"""Twenty articles: about a third of them pass the filter as it is set by default."""


class SimulatedNewsSource:
    """A NewsSource without an outside.

    Args:
        seed: decides everything but the times.
        articles_per_round: how many articles a fetch returns.
        clock: the current time, from which publication times are counted back.
        on_request: called with `ok` for every answer.
    """

    name = "simulated"
    by_ticker = False
    quota: Quota | None = None
    circuit_open = False

    def __init__(
        self,
        *,
        seed: int,
        articles_per_round: int,
        clock: Callable[[], datetime],
        on_request: Callable[[str], None] = lambda _outcome: None,
    ) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a simulation wants the same numbers again
        self._per_round = articles_per_round
        self._clock = clock
        self._on_request = on_request
        self._deck: list[Kind] = []
        self._latest: deque[RawArticle] = deque(maxlen=REPEATABLE)
        self._count = 0

    async def fetch(self, query: NewsQuery) -> Sequence[RawArticle]:  # noqa: ARG002 - news is made, not looked up
        """The next articles; the query changes nothing, a real source is late sometimes too."""
        now = self._clock()
        self._on_request("ok")
        return [self._article(self._next_kind(), now) for _ in range(self._per_round)]

    async def learn_quota(self) -> bool:
        """Nothing is counted here."""
        return False

    async def close(self) -> None:
        """There is nothing to give back."""

    def _next_kind(self) -> Kind:
        if not self._deck:
            self._deck = list(DECK)
            self._random.shuffle(self._deck)
        return self._deck.pop()

    def _article(self, kind: Kind, now: datetime) -> RawArticle:
        if kind in (Kind.REPEATED, Kind.TRACKED) and self._latest:
            known = self._random.choice(self._latest)
            return known if kind is Kind.REPEATED else _tracked(known)
        article = self._new(kind, now)
        self._latest.append(article)
        return article

    def _new(self, kind: Kind, now: datetime) -> RawArticle:
        tone = _TONES.get(kind, Tone.POSITIVE)
        companies = STRANGERS if kind is Kind.STRANGER else COMPANIES
        symbol = self._random.choice(tuple(companies))
        headline = self._random.choice(HEADLINES[tone])
        low, high = STALE_SECONDS if kind is Kind.STALE else FRESH_SECONDS
        published_at = now - timedelta(seconds=self._random.randint(low, high))
        self._count += 1
        return _written(headline, symbol, companies[symbol], published_at, self._count)


# Kinds with another reason to be rejected are good news, so that this reason alone decides.
_TONES = {Kind.NEGATIVE: Tone.NEGATIVE, Kind.NEUTRAL: Tone.NEUTRAL}


def _written(
    headline: Headline, symbol: str, company: str, published_at: datetime, number: int
) -> RawArticle:
    title = headline.title.format(company=company)
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    # The time keeps links apart between runs with the same seed, the number within one.
    link = f"https://news.example/{published_at:%Y/%m/%d/%H%M%S}-{number}/{slug}"
    return RawArticle(
        title=title,
        link=link,
        published_at=published_at,
        content=headline.lead.format(company=company),
        symbols=(symbol,),
        tags=headline.tags,
    )


def _tracked(article: RawArticle) -> RawArticle:
    return replace(article, link=f"{article.link}?utm_source=newsletter&utm_medium=email#top")
