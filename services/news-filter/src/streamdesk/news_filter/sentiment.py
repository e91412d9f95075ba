"""Sentiment of an article: VADER, with a finance lexicon laid over its own.

VADER (Hutto & Gilbert, ICWSM 2014) adds up valences of words and minds negation, degree and
contrast. Its words come from social media: it hears praise in "shares" and nothing in "plunge",
so "Shares plunge after downgrade" comes out as good news. `finance_lexicon.yaml` corrects that.
English only: a text in another language scores 0.
"""

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml
from vaderSentiment.vaderSentiment import (
    SentimentIntensityAnalyzer,
)

from streamdesk.news_filter.errors import LexiconError

NEUTRAL_BAND = 0.05  # VADER's authors call a score between -0.05 and 0.05 neutral
LEAD_SENTENCES = 3
LEAD_MAX_CHARS = 1_000
MOST_WORDS_BETWEEN = 3
LARGEST_VALENCE = 4.0  # the end of VADER's scale

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two words, near one another, that count as one token."""

    pattern: re.Pattern[str]
    token: str
    valence: float


@dataclass(frozen=True, slots=True)
class Overlay:
    """What changes in VADER's lexicon.

    Attributes:
        neutral: words taken out.
        words: words set to a valence, -4 to 4.
        pairs: what is looked for before words, in this order.
    """

    neutral: frozenset[str]
    words: Mapping[str, float]
    pairs: tuple[Pair, ...]


def finance_overlay() -> Overlay:
    """The overlay that comes with this package."""
    text = (files("streamdesk.news_filter") / "finance_lexicon.yaml").read_text(encoding="utf-8")
    return parse_overlay(text)


def parse_overlay(text: str) -> Overlay:
    """An overlay from YAML of the shape that the head of `finance_lexicon.yaml` describes.

    Raises:
        LexiconError: another shape, or a valence that is not a number from -4 to 4.
    """
    try:
        read: Any = yaml.safe_load(text)
        return Overlay(
            neutral=frozenset(_words(read["neutral"])),
            words={
                word: _valence(valence)
                for valence, words in read["words"].items()
                for word in _words(words)
            },
            pairs=tuple(_pair(number, row) for number, row in enumerate(read["pairs"])),
        )
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise LexiconError(f"the finance lexicon cannot be read: {error!r}") from error


def _words(values: Any) -> list[str]:  # noqa: ANN401 - whatever YAML has there
    wrong = [value for value in values if not isinstance(value, str)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is not text; YAML reads off, on, yes and no as booleans")
    return sorted(values, key=len, reverse=True)  # the longest of several that fit


def _valence(value: object) -> float:
    valence = float(str(value))
    if not abs(valence) <= LARGEST_VALENCE:
        raise ValueError(f"valence {value} is not within -4 and 4")
    return valence


def _pair(number: int, row: Mapping[str, Any]) -> Pair:
    first, second = (
        "|".join(re.escape(word) for word in _words(row[side])) for side in ("any", "then")
    )
    between = rf"(?:\s+[^\s.!?;:]+){{0,{MOST_WORDS_BETWEEN}}}?\s+"
    pattern = rf"(?<![\w-])(?:{first}){between}(?:{second})(?![\w-])"
    return Pair(re.compile(pattern, re.IGNORECASE), f"pair_{number}", _valence(row["valence"]))


class VaderScorer:
    """A SentimentScorer that needs no model and no network, in less than a millisecond a headline.

    Args:
        overlay: what to change in VADER's lexicon; None leaves it as it is.
    """

    def __init__(self, overlay: Overlay | None) -> None:
        with warnings.catch_warnings():
            # It opens its files with codecs.open, which Python 3.14 deprecates.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._vader = SentimentIntensityAnalyzer()
        self._pairs = overlay.pairs if overlay else ()
        if overlay:
            self._lay_over(overlay)

    def _lay_over(self, overlay: Overlay) -> None:
        lexicon: dict[str, float] = self._vader.lexicon
        for word in overlay.neutral:
            # Out rather than 0: VADER looks for negations and degrees only before words that it
            # does not know, so a known word in between would hide them.
            lexicon.pop(word, None)
        lexicon.update(overlay.words)
        lexicon.update({pair.token: pair.valence for pair in overlay.pairs})

    def score(self, title: str, content: str) -> float:
        """Sentiment from -1 to 1.

        The headline decides. Where it says nothing either way, the mean of the first sentences
        of the text does: a whole text sums up to an extreme, whatever it says.
        """
        headline = self._compound(title)
        if abs(headline) >= NEUTRAL_BAND:
            return headline
        scores = [self._compound(sentence) for sentence in _lead(content)]
        return sum(scores) / len(scores) if scores else headline

    def _compound(self, text: str) -> float:
        for pair in self._pairs:
            text = pair.pattern.sub(pair.token, text)
        return float(self._vader.polarity_scores(text)["compound"])


def _lead(content: str) -> Iterator[str]:
    sentences = _SENTENCE_END.split(content[:LEAD_MAX_CHARS].strip())
    return (sentence for sentence in sentences[:LEAD_SENTENCES] if sentence)
