"""The quick way through VADER's rules comes out where VADER's own does."""

import re
import warnings
from functools import cache
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from vaderSentiment.vaderSentiment import (
    BOOSTER_DICT,
    NEGATE,
    SPECIAL_CASES,
    SentimentIntensityAnalyzer,
)

from streamdesk.news_filter.adapters.vader.lexicon import Overlay, finance_overlay
from streamdesk.news_filter.adapters.vader.scorer import VaderScorer
from streamdesk.news_filter.domain.sentiment import NEUTRAL_BAND


class PlainVader:
    """Tries every pattern, and takes every word through all rules."""

    def __init__(self, overlay: Overlay | None) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.vader = SentimentIntensityAnalyzer()
        self._pairs = overlay.pairs if overlay else ()
        if overlay:
            lexicon: dict[str, float] = self.vader.lexicon
            for word in overlay.neutral:
                lexicon.pop(word, None)
            lexicon.update(overlay.words)
            lexicon.update({pair.token: pair.valence for pair in overlay.pairs})

    def score(self, title: str, content: str) -> float:
        headline = self._compound(title)
        if abs(headline) >= NEUTRAL_BAND:
            return headline
        sentences = re.split(r"(?<=[.!?])\s+", content[:1_000].strip())[:3]
        scores = [self._compound(sentence) for sentence in sentences if sentence]
        return sum(scores) / len(scores) if scores else headline

    def _compound(self, text: str) -> float:
        for pair in self._pairs:
            text = pair.pattern.sub(pair.token, text)
        return float(self.vader.polarity_scores(text)["compound"])


@cache
def scorers(*, finance: bool) -> tuple[PlainVader, VaderScorer]:
    overlay = finance_overlay() if finance else None
    return PlainVader(overlay), VaderScorer(overlay)


def words_of_pairs() -> list[str]:
    return sorted(
        {phrase for pair in finance_overlay().pairs for phrase in (*pair.first, *pair.second)}
    )


def known_words() -> list[str]:
    return sorted(scorers(finance=True)[0].vader.lexicon)


MODIFIERS = [
    *NEGATE, *BOOSTER_DICT, *SPECIAL_CASES, "no", "or", "nor", "but", "this", "so", "never",
    "least", "at", "very", "without", "doubt", "kind", "of", "don't", "AIN'T",
]  # fmt: skip
PLAIN_WORDS = [
    "the",
    "Apple",
    "quarter",
    "a",
    "in",
    "HSBC",
    "2026",
    "pair_3",
    "$1.2bn",
    "\u0130s",
    "\u017f",
]
MARKS = [
    "!",
    "?",
    "???",
    "!!!!!",
    ".",
    ",",
    ":",
    "-",
    "(",
    '"',
    "…",
    "\u2019s",
    "💘",
    "😁😁",
    "©",
    ":)",
]

word = st.one_of(
    st.sampled_from(known_words()),
    st.sampled_from(words_of_pairs()),
    st.sampled_from(MODIFIERS),
    st.sampled_from(PLAIN_WORDS),
)
cased = st.builds(
    lambda text, change: change(text),
    word,
    st.sampled_from([str, str, str.capitalize, str.upper, str.swapcase]),
)
marked = st.builds(
    lambda before, text, after: before + text + after,
    st.sampled_from(["", "", "", *MARKS]),
    cased,
    st.sampled_from(["", "", "", *MARKS]),
)
headlines = st.builds(
    lambda words, gaps: "".join(a + b for a, b in zip(words, gaps, strict=False)),
    st.lists(marked, max_size=16),
    st.lists(st.sampled_from([" ", " ", " ", "  ", "\t", "\n", "-", "\u00a0"]), min_size=16),
)
texts = st.one_of(headlines, headlines, st.text(max_size=60))


@settings(max_examples=600, deadline=None)
@given(title=texts, content=texts, finance=st.booleans())
@example(title="Costs do not fall, but guidance is raised!! 💘", content="", finance=True)
@example(title="raises default rate eases dividend", content="", finance=True)
@example(title="Co\u017fts fall as \u0131nflation r\u0130ses", content="", finance=True)
def test_any_article_has_the_score_that_vaders_own_way_gives(
    title: str, content: str, *, finance: bool
) -> None:
    plain, quick = scorers(finance=finance)
    assert quick.score_many([(title, content)])[0].value == plain.score(title, content)


@pytest.mark.parametrize("finance", [False, True])
def test_all_labelled_headlines_have_the_same_score_as_headline_and_as_text(
    *, finance: bool
) -> None:
    file = Path(__file__).parent / "labelled_headlines.yaml"
    read = yaml.safe_load(file.read_text(encoding="utf-8"))
    found = [title for part in read.values() for group in part.values() for title in group]
    articles = [(title, "") for title in found] + [("Results", f"{title}.") for title in found]
    plain, quick = scorers(finance=finance)
    values = [score.value for score in quick.score_many(articles)]
    assert values == [plain.score(title, content) for title, content in articles]


@settings(max_examples=200, deadline=None)
@given(title=texts)
def test_the_words_are_the_strongest_first_and_at_most_eight(title: str) -> None:
    score = scorers(finance=True)[1].score_many([(title, "")])[0]
    weights = [abs(word.weight) for word in score.words]
    assert weights == sorted(weights, reverse=True)
    assert all(weight > 0 for weight in weights)
    assert len(weights) <= 8
    assert score.words or score.value == 0
