"""The rules of the filter, cheapest first: an article passes all of them or has one reason.

age -> ticker -> blocked keywords -> blocked patterns -> keywords -> patterns -> sentiment

`judge` is the one way to a verdict. It is two steps: `screen` for the rules that need no
sentiment, `weigh` for the last one. Who has many articles scores those in between all at once.
"""

from streamdesk.news_filter.domain.findings import Finding, findings, sentiment_finding
from streamdesk.news_filter.domain.matching import Keywords, PatternError, Patterns, Text
from streamdesk.news_filter.domain.rules import Outcome, Rule, Rules, SentimentMode
from streamdesk.news_filter.domain.verdict import (
    Explanation,
    Screened,
    Verdict,
    explain,
    filtered,
    judge,
    screen,
    weigh,
)

__all__ = [
    "Explanation",
    "Finding",
    "Keywords",
    "Outcome",
    "PatternError",
    "Patterns",
    "Rule",
    "Rules",
    "Screened",
    "SentimentMode",
    "Text",
    "Verdict",
    "explain",
    "filtered",
    "findings",
    "judge",
    "screen",
    "sentiment_finding",
    "weigh",
]
