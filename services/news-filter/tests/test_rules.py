from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from streamdesk.contracts.events import NewsFetched, NewsFiltered
from streamdesk.news_filter.domain import (
    Keywords,
    RecentLinks,
    Rejection,
    Rules,
    SentimentMode,
    judge,
)

TICK = timedelta(microseconds=1)
Verdict = NewsFiltered | Rejection
Judged = Callable[..., Verdict]


class Fixed:
    """A scorer that always says the same."""

    def __init__(self, sentiment: float) -> None:
        self.sentiment = sentiment
        self.asked: list[tuple[str, str]] = []

    def score(self, title: str, content: str) -> float:
        self.asked.append((title, content))
        return self.sentiment


@pytest.fixture
def judged(
    make_article: Callable[..., NewsFetched], make_rules: Callable[..., Rules], now: datetime
) -> Judged:
    """`judged({article changes}, sentiment=0.9, **rule changes)`."""

    def judge_it(
        article: dict[str, Any] | None = None, sentiment: float = 0.9, **rules: Any
    ) -> Verdict:
        scorer = Fixed(sentiment)
        return judge(
            make_article(**(article or {})), now=now, rules=make_rules(**rules), scorer=scorer
        )

    return judge_it


def test_an_article_that_passes_keeps_all_it_had_and_gets_sentiment_and_time(
    judged: Judged, make_article: Callable[..., NewsFetched], now: datetime
) -> None:
    verdict = judged({"polarity": 0.3, "tags": ("earnings",)}, sentiment=0.75)
    assert isinstance(verdict, NewsFiltered)
    raw = make_article(polarity=0.3, tags=("earnings",))
    assert NewsFetched(**dict(verdict)) == raw
    assert (verdict.sentiment, verdict.filtered_at, verdict.keywords) == (0.75, now, ())


@pytest.mark.parametrize(
    ("age", "passes"),
    [
        (timedelta(0), True),
        (timedelta(hours=24) - TICK, True),
        (timedelta(hours=24), False),
        (timedelta(hours=24) + TICK, False),
        (timedelta(days=9_000), False),
    ],
)
def test_an_article_must_be_younger_than_24_hours(
    judged: Judged, now: datetime, age: timedelta, passes: bool
) -> None:
    verdict = judged({"published_at": now - age})
    assert isinstance(verdict, NewsFiltered) if passes else verdict == Rejection.TOO_OLD


@pytest.mark.parametrize(
    ("ahead", "passes"),
    [(timedelta(minutes=5), True), (timedelta(minutes=5) + TICK, False)],
)
def test_a_date_ahead_of_the_tolerance_does_not_keep_an_article_young(
    judged: Judged, now: datetime, ahead: timedelta, passes: bool
) -> None:
    verdict = judged({"published_at": now + ahead})
    assert isinstance(verdict, NewsFiltered) if passes else verdict == Rejection.DATED_IN_FUTURE


@pytest.mark.parametrize(
    ("symbols", "passes"),
    [
        (("AAPL.US",), True),
        (("LKFD.US", "700.HK"), True),
        (("LKFD.US",), False),
        (("AAPL.HK",), False),
        ((), False),
    ],
)
def test_one_of_the_symbols_must_be_listed(
    judged: Judged, symbols: tuple[str, ...], passes: bool
) -> None:
    verdict = judged({"symbols": symbols})
    assert isinstance(verdict, NewsFiltered) if passes else verdict == Rejection.TICKER_NOT_LISTED


def test_without_a_list_any_symbol_will_do_but_there_must_be_one(judged: Judged) -> None:
    assert isinstance(judged({"symbols": ("LKFD.US",)}, tickers=None), NewsFiltered)
    assert judged({"symbols": ()}, tickers=None) == Rejection.TICKER_NOT_LISTED


def test_one_of_the_keywords_must_occur_and_those_that_do_are_named(judged: Judged) -> None:
    keywords = Keywords(["dividend", "Guidance", "revenue was", "beats"])
    verdict = judged(keywords=keywords)
    assert isinstance(verdict, NewsFiltered)
    assert verdict.keywords == ("guidance", "revenue was", "beats")
    missing = judged({"title": "Apple shares surge", "content": ""}, keywords=keywords)
    assert missing == Rejection.KEYWORD_MISSING


def test_a_blocked_keyword_wins_over_a_wanted_one(judged: Judged) -> None:
    rules = {"keywords": Keywords(["beats"]), "blocked": Keywords(["sponsored"])}
    assert judged({"content": "Sponsored content."}, **rules) == Rejection.KEYWORD_BLOCKED
    assert isinstance(judged(**rules), NewsFiltered)


@pytest.mark.parametrize(
    ("keyword", "text", "found"),
    [
        ("beat", "Apple beats estimates", False),
        ("beat", "Analysts: a beat!", True),
        ("BEAT", "a beat", True),
        ("price target", "price\n target raised", True),
        ("price target", "price a target", False),
        ("c++", "written in C++, mostly", True),
        ("ai", "said", False),
        ("ai", "AI-driven", True),
        ("盈利", "腾讯盈利超预期", True),
        ("ai", "腾讯AI业务", True),
        (".*", "anything", False),
    ],
)
def test_a_keyword_is_found_as_a_whole_word_in_any_case(
    keyword: str, text: str, found: bool
) -> None:
    assert bool(Keywords([keyword]).found_in(text)) is found


def test_empty_keywords_are_none() -> None:
    assert not Keywords(["", "  "])


@pytest.mark.parametrize(
    ("sentiment", "passes"), [(0.5, False), (0.5001, True), (1, True), (0, False), (-1, False)]
)
def test_sentiment_must_be_greater_than_the_threshold(
    judged: Judged, sentiment: float, passes: bool
) -> None:
    verdict = judged(sentiment=sentiment)
    assert isinstance(verdict, NewsFiltered) if passes else verdict == Rejection.SENTIMENT_WEAK


@pytest.mark.parametrize(
    ("sentiment", "passes"),
    [(-0.5, False), (-0.5001, True), (0.5, False), (0.5001, True), (0, False)],
)
def test_in_absolute_mode_bad_news_passes_by_its_strength_and_keeps_its_sign(
    judged: Judged, sentiment: float, passes: bool
) -> None:
    verdict = judged(sentiment=sentiment, mode=SentimentMode.ABSOLUTE)
    if passes:
        assert isinstance(verdict, NewsFiltered)
        assert verdict.sentiment == sentiment
    else:
        assert verdict == Rejection.SENTIMENT_WEAK


def test_an_article_that_breaks_several_rules_has_the_first_as_its_reason(
    judged: Judged, now: datetime
) -> None:
    changes: dict[str, Any] = {
        "published_at": now - timedelta(days=2),
        "symbols": (),
        "title": "sponsored",
    }
    rules = {"blocked": Keywords(["sponsored"]), "keywords": Keywords(["beats"])}
    reasons = []
    for good in ("published_at", "symbols", "title", ""):
        reasons.append(judged(changes, sentiment=0, **rules))
        changes.pop(good, None)
    assert reasons == [
        Rejection.TOO_OLD,
        Rejection.TICKER_NOT_LISTED,
        Rejection.KEYWORD_BLOCKED,
        Rejection.SENTIMENT_WEAK,
    ]


def test_only_what_passes_the_cheaper_rules_is_scored(
    make_article: Callable[..., NewsFetched], make_rules: Callable[..., Rules], now: datetime
) -> None:
    scorer = Fixed(0.9)
    judge(make_article(symbols=()), now=now, rules=make_rules(), scorer=scorer)
    assert scorer.asked == []
    article = make_article()
    judge(article, now=now, rules=make_rules(), scorer=scorer)
    assert scorer.asked == [(article.title, article.content)]


def test_the_reasons_are_the_ones_that_dashboards_know() -> None:
    assert [reason.value for reason in Rejection] == [
        "too-old",
        "dated-in-future",
        "ticker-not-listed",
        "keyword-blocked",
        "keyword-missing",
        "sentiment-weak",
        "already-published",
    ]


def test_the_memory_of_published_links_is_bounded() -> None:
    recent = RecentLinks(2)
    for link_hash in ("a", "b", "a", "c"):
        recent.remember(link_hash)
    assert ["a" in recent, "b" in recent, "c" in recent] == [True, False, True]
