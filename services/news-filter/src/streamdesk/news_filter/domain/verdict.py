"""The verdict on an article: `judge`, or its two steps, `screen` and `weigh`."""

from datetime import datetime
from typing import NamedTuple

from streamdesk.contracts.events import NewsFetched, NewsFiltered
from streamdesk.news_filter.domain.findings import RuleFinding, findings, sentiment_finding
from streamdesk.news_filter.domain.rules import ArticleOutcome, FilterRules, Rule
from streamdesk.news_filter.domain.sentiment import Score, blend

LONGEST_REASON = 500


class ArticleVerdict(NamedTuple):
    """What becomes of an article.

    Attributes:
        rule: the outcome, as the metric counts it.
        reason: one sentence for a reader, at most 500 characters.
        sentiment: -1 to 1, the source's own blended in; None if it was not asked for.
        words: what the sentiment of an article that passed comes from, strongest first, each with
            its weight.
        keywords: those of `FilterRules.keywords` that were found, lower case.
    """

    rule: ArticleOutcome
    reason: str
    sentiment: float | None = None
    words: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether it passed all rules."""
        return self.rule is ArticleOutcome.PASSED


class Screened(NamedTuple):
    """An article that passed all rules but the last.

    Attributes:
        polarity: the source's own sentiment, if it gave one.
        reasons: what the other rules found, in words, as far as a reader cares.
        keywords: as in ArticleVerdict.
    """

    polarity: float | None
    reasons: tuple[str, ...]
    keywords: tuple[str, ...]


class Explanation(NamedTuple):
    """A verdict with everything that led to it.

    Attributes:
        verdict: as `judge` gives it.
        findings: of every rule, also of those after the one that stopped the article.
        sentiment: -1 to 1, the source's own blended in, whatever the verdict.
        words: what it comes from, strongest first, each with its weight.
    """

    verdict: ArticleVerdict
    findings: tuple[RuleFinding, ...]
    sentiment: float
    words: tuple[str, ...]


def judge(
    article: NewsFetched, *, now: datetime, rules: FilterRules, score: Score
) -> ArticleVerdict:
    """The verdict on an article; `score` is its sentiment, without the source's own."""
    screened = screen(article, now=now, rules=rules)
    return screened if isinstance(screened, ArticleVerdict) else weigh(screened, score, rules)


def screen(article: NewsFetched, *, now: datetime, rules: FilterRules) -> ArticleVerdict | Screened:
    """The verdict, if a rule stops the article that needs no sentiment."""
    reasons: list[str] = []
    keywords: tuple[str, ...] = ()
    for finding in findings(article, now=now, rules=rules):
        if finding.outcome is not ArticleOutcome.PASSED:
            return ArticleVerdict(finding.outcome, _clipped(finding.because))
        if finding.found:
            reasons.append(finding.because)
            if finding.rule is Rule.KEYWORDS:
                keywords = finding.found
    return Screened(article.polarity, tuple(reasons), keywords)


def weigh(screened: Screened, score: Score, rules: FilterRules) -> ArticleVerdict:
    """The verdict on an article that passed all other rules."""
    value = blend(score, screened.polarity, rules.provider_weight).value
    finding = sentiment_finding(value, score, screened.polarity, rules)
    passed = finding.outcome is ArticleOutcome.PASSED
    because = "; ".join((finding.because, *screened.reasons)) if passed else finding.because
    return ArticleVerdict(
        rule=finding.outcome,
        reason=_clipped(because),
        sentiment=value,
        words=tuple(map(str, score.words)) if passed else (),
        keywords=screened.keywords,
    )


def filtered(article: NewsFetched, verdict: ArticleVerdict, now: datetime) -> NewsFiltered:
    """The event of an article that passed, with the reasons of its verdict."""
    return NewsFiltered(
        **article.__dict__,
        sentiment=verdict.sentiment or 0.0,
        keywords=verdict.keywords,
        words=verdict.words,
        reason=verdict.reason,
        filtered_at=now,
    )


def _clipped(reason: str) -> str:
    return reason if len(reason) <= LONGEST_REASON else f"{reason[: LONGEST_REASON - 1]}…"


def explain(
    article: NewsFetched, *, now: datetime, rules: FilterRules, score: Score
) -> Explanation:
    """The verdict on an article, and the finding of each rule."""
    value = blend(score, article.polarity, rules.provider_weight).value
    last = sentiment_finding(value, score, article.polarity, rules)
    found = (*findings(article, now=now, rules=rules), last)
    verdict = judge(article, now=now, rules=rules, score=score)
    return Explanation(verdict, found, value, tuple(str(word) for word in score.words))
