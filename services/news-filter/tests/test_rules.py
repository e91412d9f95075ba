from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdesk.contracts.events import NewsFetched
from streamdesk.news_filter.domain.matching import Keywords, Patterns
from streamdesk.news_filter.domain.rules import ArticleOutcome, FilterRules, Rule, SentimentMode
from streamdesk.news_filter.domain.sentiment import Score, Weighted
from streamdesk.news_filter.domain.verdict import (
    ArticleVerdict,
    explain,
    filtered,
    judge,
    screen,
    weigh,
)

TICK = timedelta(microseconds=1)
Judged = Callable[..., ArticleVerdict]
Make = Callable[..., Any]


@pytest.fixture
def judged(make_article: Make, make_rules: Make, now: datetime) -> Judged:
    """`judged({article changes}, sentiment=0.9, **rule changes)`."""

    def judge_it(
        article: dict[str, Any] | None = None, sentiment: float = 0.9, **rules: Any
    ) -> ArticleVerdict:
        score = Score(sentiment, (Weighted("beats estimates", 2.5), Weighted("raises", 1.5)))
        return judge(
            make_article(**(article or {})), now=now, rules=make_rules(**rules), score=score
        )

    return judge_it


def test_an_article_that_passes_keeps_all_it_had_and_gets_what_the_verdict_says(
    judged: Judged, make_article: Make, now: datetime
) -> None:
    verdict = judged(sentiment=0.75, keywords=Keywords(["beats"]))
    raw = make_article(polarity=0.3, tags=("earnings",))
    article = filtered(raw, verdict, now)
    assert NewsFetched(**dict(article)) == raw
    assert (article.sentiment, article.filtered_at, article.keywords) == (0.75, now, ("beats",))
    assert article.words == ("beats estimates +2.5", "raises +1.5")
    assert article.reason == verdict.reason


@pytest.mark.parametrize(
    ("age", "outcome"),
    [
        (timedelta(0), ArticleOutcome.PASSED),
        (timedelta(hours=24) - TICK, ArticleOutcome.PASSED),
        (timedelta(hours=24), ArticleOutcome.TOO_OLD),
        (timedelta(hours=24) + TICK, ArticleOutcome.TOO_OLD),
        (timedelta(days=9_000), ArticleOutcome.TOO_OLD),
        (-timedelta(minutes=5), ArticleOutcome.PASSED),
        # Or a date ahead would keep an article young.
        (-timedelta(minutes=5) - TICK, ArticleOutcome.DATED_IN_FUTURE),
    ],
)
def test_an_article_must_be_younger_than_24_hours_and_not_ahead_of_the_tolerance(
    judged: Judged, now: datetime, age: timedelta, outcome: ArticleOutcome
) -> None:
    assert judged({"published_at": now - age}).rule is outcome


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
    expected = ArticleOutcome.PASSED if passes else ArticleOutcome.TICKER_NOT_LISTED
    assert judged({"symbols": symbols}).rule is expected


def test_without_a_list_any_symbol_will_do_but_there_must_be_one(judged: Judged) -> None:
    assert judged({"symbols": ("LKFD.US",)}, tickers=None).passed
    assert judged({"symbols": ()}, tickers=None).rule is ArticleOutcome.TICKER_NOT_LISTED


def test_one_of_the_keywords_must_occur_and_those_that_do_are_named(judged: Judged) -> None:
    keywords = Keywords(["dividend", "Guidance", "revenue was", "beats"])
    assert judged(keywords=keywords).keywords == ("guidance", "revenue was", "beats")
    missing = judged({"title": "Apple shares surge", "content": ""}, keywords=keywords)
    assert missing.rule is ArticleOutcome.KEYWORD_MISSING


def test_a_blocked_keyword_wins_over_a_wanted_one(judged: Judged) -> None:
    rules = {"keywords": Keywords(["beats"]), "blocked": Keywords(["sponsored"])}
    assert judged({"content": "Sponsored content."}, **rules).rule is ArticleOutcome.KEYWORD_BLOCKED
    assert judged(**rules).passed


def test_one_of_the_patterns_must_match_and_none_of_the_blocked_ones(judged: Judged) -> None:
    patterns = Patterns([r"\bdividend", r"(?i)raises (?:its )?guidance"])
    assert judged(patterns=patterns).passed
    assert (
        judged({"title": "Apple beats"}, patterns=patterns).rule is ArticleOutcome.PATTERN_MISSING
    )
    blocked = Patterns([r"above expect\w+"])
    verdict = judged(patterns=patterns, blocked_patterns=blocked)
    assert verdict.rule is ArticleOutcome.PATTERN_BLOCKED
    assert verdict.reason == r'"above expectations" matches blocked pattern "above expect\w+"'


@pytest.mark.parametrize("sentiment", [-1, -0.5001, -0.5, -0.1, 0, 0.1, 0.5, 0.5001, 1])
@pytest.mark.parametrize("mode", SentimentMode)
def test_sentiment_must_be_stronger_than_the_threshold_on_the_side_that_the_mode_names(
    judged: Judged, sentiment: float, mode: SentimentMode
) -> None:
    sides = {
        SentimentMode.POSITIVE: sentiment > 0.5,
        SentimentMode.NEGATIVE: sentiment < -0.5,
        SentimentMode.ABSOLUTE: abs(sentiment) > 0.5,
    }
    verdict = judged(sentiment=sentiment, mode=mode)
    assert verdict.rule is (ArticleOutcome.PASSED if sides[mode] else ArticleOutcome.SENTIMENT_WEAK)
    assert verdict.sentiment == sentiment


def test_negative_is_the_mirror_of_positive(judged: Judged) -> None:
    for hundredths in range(-100, 101):
        good = judged(sentiment=hundredths / 100)
        bad = judged(sentiment=-hundredths / 100, mode=SentimentMode.NEGATIVE)
        assert good.rule is bad.rule


def test_the_polarity_of_the_source_weighs_as_much_as_is_set(judged: Judged) -> None:
    assert judged({"polarity": -1.0}, sentiment=0.6).sentiment == 0.6
    verdict = judged({"polarity": -1.0}, sentiment=0.6, provider_weight=0.25)
    assert verdict.sentiment == pytest.approx(0.2)
    assert verdict.rule is ArticleOutcome.SENTIMENT_WEAK
    assert "the source's own is -1.00" in verdict.reason
    assert judged(sentiment=0.6, provider_weight=0.25).sentiment == 0.6


@pytest.mark.parametrize(
    ("article", "sentiment", "rules", "reason"),
    [
        ({}, 0.74, {}, "sentiment 0.74 > 0.50: beats estimates, raises; about AAPL.US"),
        (
            {},
            -0.74,
            {"mode": SentimentMode.ABSOLUTE},
            "sentiment -0.74 < -0.50: beats estimates, raises; about AAPL.US",
        ),
        (
            {"symbols": ("LKFD.US", "700.HK", "AAPL.US")},
            0.5001,
            {"keywords": Keywords(["guidance", "dividend"])},
            ("sentiment 0.5001 > 0.50: beats estimates, raises; about 700.HK, AAPL.US; "
            'has "guidance"'),
        ),
        ({}, 0.1, {}, "sentiment 0.10 is not above 0.50: beats estimates, raises"),
        (
            {},
            0.1,
            {"mode": SentimentMode.NEGATIVE},
            "sentiment 0.10 is not below -0.50: beats estimates, raises",
        ),
        (
            {},
            0.1,
            {"mode": SentimentMode.ABSOLUTE},
            "sentiment 0.10 is not beyond 0.50 either way: beats estimates, raises",
        ),
        ({"symbols": ()}, 0.9, {}, "about no instrument"),
        ({"symbols": ("LKFD.US",)}, 0.9, {}, "about LKFD.US, which is not listed"),
        ({"content": "Sponsored."}, 0.9, {"blocked": Keywords(["sponsored"])},
         'has blocked "sponsored"'),
    ],
)  # fmt: skip
def test_the_reason_is_one_sentence_that_says_what_decided(
    judged: Judged, article: dict[str, Any], sentiment: float, rules: dict[str, Any], reason: str
) -> None:
    assert judged(article, sentiment, **rules).reason == reason


def test_a_reason_never_has_more_than_500_characters(
    make_article: Make, make_rules: Make, now: datetime
) -> None:
    article = make_article(
        title="x" * 900, symbols=tuple(f"A{'B' * 12}{number}.US" for number in range(50))
    )
    rules = make_rules(tickers=None, keywords=Keywords(["x" * 200]), patterns=Patterns(["x+"]))
    score = Score(1.0, tuple(Weighted("y" * 400, 1.0) for _ in range(8)))
    assert len(judge(article, now=now, rules=rules, score=score).reason) <= 500
    loose = make_rules(tickers=None)
    verdict = judge(article, now=now, rules=loose, score=score)
    assert len(filtered(article, verdict, now).reason) == 500


def test_an_article_that_breaks_several_rules_has_the_first_as_its_outcome(
    judged: Judged, now: datetime
) -> None:
    changes: dict[str, Any] = {
        "published_at": now - timedelta(days=2),
        "symbols": (),
        "title": "sponsored",
    }
    rules = {"blocked": Keywords(["sponsored"]), "keywords": Keywords(["beats"])}
    outcomes = []
    for mended in ("published_at", "symbols", "title", ""):
        outcomes.append(judged(changes, sentiment=0, **rules).rule)
        changes.pop(mended, None)
    assert outcomes == [
        ArticleOutcome.TOO_OLD,
        ArticleOutcome.TICKER_NOT_LISTED,
        ArticleOutcome.KEYWORD_BLOCKED,
        ArticleOutcome.SENTIMENT_WEAK,
    ]


def test_the_outcomes_are_the_ones_that_dashboards_know() -> None:
    assert [outcome.value for outcome in ArticleOutcome] == [
        "passed",
        "too-old",
        "dated-in-future",
        "ticker-not-listed",
        "keyword-blocked",
        "pattern-blocked",
        "keyword-missing",
        "pattern-missing",
        "sentiment-weak",
        "unscorable",
        "unpublishable",
    ]


def test_an_explanation_asks_every_rule_in_order_also_after_one_that_stopped_the_article(
    make_article: Make, make_rules: Make, now: datetime
) -> None:
    article = make_article(symbols=(), published_at=now - timedelta(days=3))
    explanation = explain(article, now=now, rules=make_rules(), score=Score(0.1))
    assert [finding.rule for finding in explanation.findings] == list(Rule)
    failed = [f.rule for f in explanation.findings if f.outcome is not ArticleOutcome.PASSED]
    assert failed == [Rule.AGE, Rule.TICKER, Rule.SENTIMENT]
    assert [f.rule for f in explanation.findings if f.asked] == failed
    assert explanation.verdict.rule is ArticleOutcome.TOO_OLD


@settings(deadline=None)
@given(
    age_hours=st.floats(-2, 50),
    symbols=st.sampled_from([(), ("AAPL.US",), ("LKFD.US",)]),
    title=st.sampled_from(["Apple beats", "sponsored", "plain", "腾讯"]),
    sentiment=st.floats(-1, 1),
    polarity=st.none() | st.floats(-1, 1),
    mode=st.sampled_from(SentimentMode),
    weight=st.floats(0, 1),
)
def test_the_filter_a_single_judgement_and_the_explanation_agree_on_every_article(
    age_hours: float,
    symbols: tuple[str, ...],
    title: str,
    sentiment: float,
    polarity: float | None,
    mode: SentimentMode,
    weight: float,
) -> None:
    now = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
    article = NewsFetched(
        link_hash="0" * 32,
        title=title,
        link="-",
        source="test",
        published_at=now - timedelta(hours=age_hours),
        fetched_at=now,
        symbols=symbols,
        polarity=polarity,
    )
    rules = FilterRules(
        max_age=timedelta(hours=24),
        future_tolerance=timedelta(minutes=5),
        tickers=frozenset({"AAPL.US"}),
        threshold=0.5,
        mode=mode,
        keywords=Keywords(["apple", "腾讯", "sponsored"]),
        blocked_patterns=Patterns(["spon.*red"]),
        provider_weight=weight,
    )
    score = Score(sentiment)
    verdict = judge(article, now=now, rules=rules, score=score)
    screened = screen(article, now=now, rules=rules)
    step = screened if isinstance(screened, ArticleVerdict) else weigh(screened, score, rules)
    explanation = explain(article, now=now, rules=rules, score=score)
    stopped = [f for f in explanation.findings if f.outcome is not ArticleOutcome.PASSED]
    assert verdict == step == explanation.verdict
    assert verdict.rule is (stopped[0].outcome if stopped else ArticleOutcome.PASSED)
    assert not stopped or verdict.reason == stopped[0].because
    assert verdict.reason
