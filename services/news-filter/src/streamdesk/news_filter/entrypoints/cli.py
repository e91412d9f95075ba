"""`python -m streamdesk.news_filter why TITLE`: the verdict of the rules on an article, and why.

It asks the same rules as the filter that runs with the same environment, and needs no Redis.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from streamdesk.contracts.base import summary
from streamdesk.contracts.events import NewsFetched
from streamdesk.news_filter.adapters.sentiment_scorer import SentimentScorer
from streamdesk.news_filter.config import MOST_AGE_HOURS, Settings
from streamdesk.news_filter.domain.findings import RuleFinding
from streamdesk.news_filter.domain.rules import ArticleOutcome, FilterRules
from streamdesk.news_filter.domain.verdict import Explanation, explain
from streamdesk.runtime import BadSettingError, parse_symbols
from streamdesk.runtime.settings_report import load

EXIT_BAD_SETTING = 2
NAME = "python -m streamdesk.news_filter why"


OpenRules = Callable[[Settings], tuple[FilterRules, SentimentScorer]]
"""The rules and the scorer that are set."""


def main(arguments: Sequence[str], open_rules: OpenRules) -> int:
    """Print the verdict; returns the exit code: 0, or 2 for a bad setting or argument.

    Args:
        arguments: of the command line, after `why`.
        open_rules: wires what judges an article.
    """
    options = _options(arguments)
    try:
        settings = load(Settings)
        rules, scorer = open_rules(settings)
        now = datetime.now(UTC)
        article = _article(options, now)
    except BadSettingError as error:
        return _complain(error)
    except ValidationError as error:
        return _complain(summary(error))
    rules = replace(rules, without_ticker=not article.symbols)
    score = scorer.score_many([(article.title, article.content)])[0]
    explanation = explain(article, now=now, rules=rules, score=score)
    if options.json:
        sys.stdout.write(json.dumps(as_json(explanation, article, scorer.name)) + "\n")
    else:
        sys.stdout.write(as_text(explanation))
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=NAME,
        description="Shows the news filter's verdict on an article, and which rule and which "
        "words decide. FilterRules and scorer are those that the environment sets.",
    )
    parser.add_argument("title", metavar="TITLE", help="its headline")
    parser.add_argument("--content", metavar="TEXT", default="", help="its text")
    parser.add_argument(
        "--ticker",
        metavar="SYMBOL",
        action="append",
        type=_symbol,
        default=[],
        help="an instrument that it is about, as AAPL.US; may be repeated. Without one the rule "
        "of tickers is not asked",
    )
    parser.add_argument(
        "--age-hours", metavar="H", type=_age_hours, default=0.0, help="hours since it appeared"
    )
    parser.add_argument(
        "--polarity", metavar="P", type=float, help="the source's own sentiment, -1 to 1"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(arguments)


def _symbol(text: str) -> str:
    try:
        return parse_symbols((text,))[0]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _age_hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = math.nan
    if not abs(hours) <= MOST_AGE_HOURS:
        expected = f"a number of hours, at most {MOST_AGE_HOURS}; below 0 for the future"
        raise argparse.ArgumentTypeError(f"{text!r} is not {expected}")
    return hours


def _article(options: argparse.Namespace, now: datetime) -> NewsFetched:
    return NewsFetched(
        link_hash="0" * 32,
        title=options.title,
        content=options.content,
        link="-",
        source=NAME,
        published_at=now - timedelta(hours=options.age_hours),
        fetched_at=now,
        symbols=tuple(options.ticker),
        polarity=options.polarity,
    )


def as_json(explanation: Explanation, article: NewsFetched, scorer: str) -> dict[str, Any]:
    """The explanation as one object.

    Args:
        explanation: of the verdict.
        article: what it is about.
        scorer: name of what gave the sentiment.
    """
    verdict = explanation.verdict
    return {
        "title": article.title,
        "passed": verdict.passed,
        "outcome": verdict.rule.value,
        "reason": verdict.reason,
        "sentiment": explanation.sentiment,
        "words": list(explanation.words),
        "keywords": list(verdict.keywords),
        "scorer": scorer,
        "rules": [
            {
                "rule": finding.rule.value,
                "asked": finding.asked,
                "passed": finding.outcome is ArticleOutcome.PASSED,
                "outcome": finding.outcome.value,
                "because": finding.because,
            }
            for finding in explanation.findings
        ],
    }


def as_text(explanation: Explanation) -> str:
    """The explanation for a person: the verdict, a line each rule, the words."""
    verdict = explanation.verdict
    head = verdict.reason if verdict.passed else f"{verdict.rule}: {verdict.reason}"
    lines = ["passed: " + head if verdict.passed else "dropped, " + head, ""]
    lines += [
        f"  {finding.rule:<16}  {_mark(finding):<9}  {finding.because}"
        for finding in explanation.findings
    ]
    words = ", ".join(explanation.words) or "none that the scorer knows"
    return "\n".join([*lines, "", f"words: {words}", ""])


def _mark(finding: RuleFinding) -> str:
    if not finding.asked:
        return "-"
    return "passed" if finding.outcome is ArticleOutcome.PASSED else "failed"


def _complain(problem: object) -> int:
    sys.stderr.write(f"{NAME}: {problem}\n")
    return EXIT_BAD_SETTING
