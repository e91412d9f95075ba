"""The finding of each rule on an article, with its reason in words for a reader."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from streamdesk.contracts.events import NewsFetched
from streamdesk.news_filter.domain.matching import Text
from streamdesk.news_filter.domain.rules import ArticleOutcome, FilterRules, Rule, SentimentMode
from streamdesk.news_filter.domain.sentiment import Score

_SHOWN_SYMBOLS = 5
_SHOWN_WORDS = 3
_SHOWN_CHARS = 60
_CLOSE = 0.01
_SECONDS_UNTIL = 90  # then minutes
_MINUTES_UNTIL = 5_400  # seconds; then hours


class RuleFinding(NamedTuple):
    """What one rule finds about an article.

    Attributes:
        rule: which one.
        outcome: PASSED, or what it makes of the article.
        because: what decided, in words.
        found: listed symbols, keywords, or a pattern and what it matches.
        asked: False if the rule is not set: it lets everything pass.
    """

    rule: Rule
    outcome: ArticleOutcome
    because: str
    found: tuple[str, ...] = ()
    asked: bool = True


_NONE_SET = {
    rule: RuleFinding(rule, ArticleOutcome.PASSED, "none are set", asked=False) for rule in Rule
}
_TICKER_LEFT_OUT = RuleFinding(Rule.TICKER, ArticleOutcome.PASSED, "not asked", asked=False)


def findings(article: NewsFetched, *, now: datetime, rules: FilterRules) -> Iterator[RuleFinding]:
    """The findings of all rules but the last, each evaluated only when it is reached."""
    yield _age(article, now, rules)
    yield _ticker(article, rules)
    text = Text(article.title, article.content)
    yield _blocked_keywords(text, rules)
    yield _blocked_patterns(text, rules)
    yield _keywords(text, rules)
    yield _patterns(text, rules)


def _age(article: NewsFetched, now: datetime, rules: FilterRules) -> RuleFinding:
    age = now - article.published_at
    if not age < rules.max_age:
        because = f"published {_span(age)} ago, not less than {_span(rules.max_age)}"
        return RuleFinding(Rule.AGE, ArticleOutcome.TOO_OLD, because)
    if -age > rules.future_tolerance:
        # Without this rule, a date far ahead would stay young for as long.
        because = f"dated {_span(-age)} ahead of now, more than {_span(rules.future_tolerance)}"
        return RuleFinding(Rule.AGE, ArticleOutcome.DATED_IN_FUTURE, because)
    return RuleFinding(Rule.AGE, ArticleOutcome.PASSED, f"published {_span(age)} ago")


def _ticker(article: NewsFetched, rules: FilterRules) -> RuleFinding:
    if rules.without_ticker:
        return _TICKER_LEFT_OUT
    listed, symbols = rules.tickers, article.symbols
    found = symbols if listed is None else tuple(name for name in symbols if name in listed)
    if found:
        return RuleFinding(Rule.TICKER, ArticleOutcome.PASSED, f"about {_some(found)}", found)
    because = f"about {_some(symbols)}, which is not listed" if symbols else "about no instrument"
    return RuleFinding(Rule.TICKER, ArticleOutcome.TICKER_NOT_LISTED, because)


def _blocked_keywords(text: Text, rules: FilterRules) -> RuleFinding:
    rule = Rule.BLOCKED_KEYWORDS
    if not rules.blocked:
        return _NONE_SET[rule]
    found = rules.blocked.found_in(text)
    if found:
        return RuleFinding(rule, ArticleOutcome.KEYWORD_BLOCKED, f"has blocked {_quoted(found)}")
    return RuleFinding(rule, ArticleOutcome.PASSED, "has none of them")


def _blocked_patterns(text: Text, rules: FilterRules) -> RuleFinding:
    rule = Rule.BLOCKED_PATTERNS
    if not rules.blocked_patterns:
        return _NONE_SET[rule]
    match = rules.blocked_patterns.first_in(text)
    if match:
        because = f"{_short(match[1])} matches blocked pattern {_short(match[0])}"
        return RuleFinding(rule, ArticleOutcome.PATTERN_BLOCKED, because)
    return RuleFinding(rule, ArticleOutcome.PASSED, "matches none of them")


def _keywords(text: Text, rules: FilterRules) -> RuleFinding:
    rule = Rule.KEYWORDS
    if not rules.keywords:
        return _NONE_SET[rule]
    found = rules.keywords.found_in(text)
    if found:
        return RuleFinding(rule, ArticleOutcome.PASSED, f"has {_quoted(found)}", found)
    return RuleFinding(
        rule, ArticleOutcome.KEYWORD_MISSING, f"has none of {len(rules.keywords)} keywords"
    )


def _patterns(text: Text, rules: FilterRules) -> RuleFinding:
    rule = Rule.PATTERNS
    if not rules.patterns:
        return _NONE_SET[rule]
    match = rules.patterns.first_in(text)
    if match:
        because = f"{_short(match[1])} matches pattern {_short(match[0])}"
        return RuleFinding(rule, ArticleOutcome.PASSED, because, match)
    return RuleFinding(
        rule, ArticleOutcome.PATTERN_MISSING, f"matches none of {len(rules.patterns)} patterns"
    )


def sentiment_finding(
    value: float, score: Score, polarity: float | None, rules: FilterRules
) -> RuleFinding:
    """The finding of the last rule.

    Args:
        value: the sentiment, the source's own blended in.
        score: ours.
        polarity: the source's own, if it gave one.
        rules: threshold and mode.
    """
    threshold = rules.threshold
    # Each mode listens to one side, or to both; a sentiment at the threshold itself is too weak.
    good = rules.mode is not SentimentMode.NEGATIVE and value > threshold
    bad = rules.mode is not SentimentMode.POSITIVE and value < -threshold
    words = ", ".join(word.text for word in score.words[:_SHOWN_WORDS]) or "no word decides"
    # Without a weight it has no part in the sentiment, and would only mislead.
    if polarity is not None and rules.provider_weight:
        words += f"; the source's own is {polarity:.2f}"
    # Two digits, unless they would show a sentiment as equal to the threshold.
    digits = 2 if abs(abs(value) - threshold) >= _CLOSE else 4
    shown = f"{value:.{digits}f}"
    if good or bad:
        sign, limit = (">", threshold) if good else ("<", -threshold)
        because = f"sentiment {shown} {sign} {limit:.2f}: {words}"
        return RuleFinding(Rule.SENTIMENT, ArticleOutcome.PASSED, because)
    because = f"sentiment {shown} is not {_wanted(rules)}: {words}"
    return RuleFinding(Rule.SENTIMENT, ArticleOutcome.SENTIMENT_WEAK, because)


def _wanted(rules: FilterRules) -> str:
    if rules.mode is SentimentMode.POSITIVE:
        return f"above {rules.threshold:.2f}"
    if rules.mode is SentimentMode.NEGATIVE:
        return f"below {-rules.threshold:.2f}"
    return f"beyond {rules.threshold:.2f} either way"


def _span(span: timedelta) -> str:
    seconds = span.total_seconds()
    if abs(seconds) < _SECONDS_UNTIL:
        return f"{seconds:.0f} s"
    return (
        f"{seconds / 60:.0f} min" if abs(seconds) < _MINUTES_UNTIL else f"{seconds / 3_600:.1f} h"
    )


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN_SYMBOLS} more" if len(names) > _SHOWN_SYMBOLS else ""
    return ", ".join(names[:_SHOWN_SYMBOLS]) + more


def _quoted(words: tuple[str, ...]) -> str:
    return ", ".join(f'"{_cut(word)}"' for word in words[:_SHOWN_WORDS])


def _short(text: str) -> str:
    return f'"{_cut(text)}"'


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"
