"""Sentiment by VADER, with a finance lexicon laid over its own.

VADER (Hutto & Gilbert, ICWSM 2014) adds up valences of words and minds negation, degree and
contrast. Its words come from social media: it hears praise in "shares" and nothing in "plunge",
so "Shares plunge after downgrade" comes out as good news. `finance_lexicon.yaml` corrects that.
English only: a text in another language scores 0.

The scores are those of the package vaderSentiment, to the last digit; the way to them is shorter.
Its own way takes every word of a text through all of its rules. Most words have no valence, and
most that have one are beside nothing that would change it: only the rest is left to it.
"""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from string import punctuation

from vaderSentiment.vaderSentiment import (
    BOOSTER_DICT,
    NEGATE,
    SPECIAL_CASES,
    SentimentIntensityAnalyzer,
    allcap_differential,
    normalize,
)

from streamdesk.news_filter.adapters.vader.lexicon import Overlay
from streamdesk.news_filter.adapters.vader.pairs import PairFinder
from streamdesk.news_filter.domain.sentiment import NEUTRAL_BAND, Score, Weighted, lead, strongest

# Raised when the same text and lexicon come out differently: cached scores are then out of date.
RULES_VERSION = "2"
DECIMALS = 4  # VADER's own
REACH = 3  # a word is changed by at most so many before it
SHORTEST_STRIPPED = 3  # what is shorter without its punctuation may be an emoticon

_MODIFIERS = frozenset({*BOOSTER_DICT, *NEGATE, "no", "this", "least"})
_NOT = "n't"
# Each idiom has to have all of its words: its longest shows whether a text can have one at all.
_IDIOM_WORDS = frozenset(
    max(idiom.split(), key=len) for idiom in (*SPECIAL_CASES, *BOOSTER_DICT) if " " in idiom
)


@dataclass(frozen=True, slots=True)
class _Reading:
    """The sentiment of a text: its compound score, and the words that it comes from."""

    compound: float
    words: tuple[Weighted, ...]


_NOTHING = _Reading(0.0, ())


@dataclass(slots=True)
class _Words:
    """The words of a text, by the names that VADER has for what it looks at."""

    words_and_emoticons: list[str]
    lower: list[str]
    is_cap_diff: bool
    may_have_idiom: bool


class VaderScorer:
    """A SentimentScorer that needs no model and no network, in microseconds a headline.

    The headline decides. Where it is neutral, the mean of the first sentences of the
    text does.

    Args:
        overlay: what to change in VADER's lexicon; None leaves it as it is.
    """

    name = "vader"
    slow = False

    def __init__(self, overlay: Overlay | None) -> None:
        with warnings.catch_warnings():
            # It opens its files with codecs.open, which Python 3.14 deprecates.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._vader = SentimentIntensityAnalyzer()
        self._lexicon: dict[str, float] = self._vader.lexicon
        if overlay:
            self._lay_over(overlay)
        self._pairs = PairFinder(overlay.pairs if overlay else ())
        self._emojis: frozenset[str] = frozenset(self._vader.emojis)
        self.version = self._fingerprint(overlay)

    def _lay_over(self, overlay: Overlay) -> None:
        for word in overlay.neutral:
            # Out rather than 0: VADER looks for negations and degrees only before words that it
            # does not know, so a known word in between would hide them.
            self._lexicon.pop(word, None)
        self._lexicon.update(overlay.words)
        self._lexicon.update({pair.token: pair.valence for pair in overlay.pairs})

    def _fingerprint(self, overlay: Overlay | None) -> str:
        patterns = [pair.pattern.pattern for pair in overlay.pairs] if overlay else []
        parts = (RULES_VERSION, version("vaderSentiment"), sorted(self._lexicon.items()), patterns)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]

    def score_many(self, articles: Sequence[tuple[str, str]]) -> list[Score]:
        """The sentiments of articles, each a title and a content."""
        return [self._score(title, content) for title, content in articles]

    def _score(self, title: str, content: str) -> Score:
        headline = self._read(title)
        if abs(headline.compound) >= NEUTRAL_BAND:
            return Score(headline.compound, strongest(headline.words))
        sentences = [self._read(sentence) for sentence in lead(content)]
        if not sentences:
            return Score(headline.compound, strongest(headline.words))
        number = len(sentences)
        return Score(
            sum(sentence.compound for sentence in sentences) / number,
            strongest(
                Weighted(word.text, word.weight / number)
                for sentence in sentences
                for word in sentence.words
            ),
        )

    def _read(self, text: str) -> _Reading:
        # First, on the text itself: the words of a pair must not count again on their own.
        text, found = self._pairs.replace(text)
        if not text.isascii():
            text = self._without_emojis(text)
        words = _split(text)
        shown = words
        if found:
            # Each pair has a name of its own in the text: the lexicon knows it by its token, and a
            # reader by what was there.
            shown = [found[word].text if word in found else word for word in words]
            words = [found[word].token if word in found else word for word in words]
        lower = [word.lower() for word in words]
        lexicon = self._lexicon
        known = [place for place, word in enumerate(lower) if word in lexicon]
        # Most texts end here, before anything that costs time.
        if not known:
            return _NOTHING
        read = _Words(words, lower, allcap_differential(words), not _IDIOM_WORDS.isdisjoint(lower))
        return self._sum_up(text, self._valences(read, known), shown)

    def _valences(self, read: _Words, known: Sequence[int]) -> list[float]:
        words = read.words_and_emoticons
        valences: list[float] = [0] * len(words)
        for place in known:
            valences[place] = self._valence(read, place)
        # What follows a "but" counts more than what precedes it.
        if "but" in read.lower:
            valences = self._vader._but_check(words, valences)  # noqa: SLF001 - its rule, not ours
        return valences

    def _valence(self, read: _Words, place: int) -> float:
        word, lower = read.lower[place], read.lower
        # A degree has no valence of its own, it changes that of other words.
        if word in BOOSTER_DICT:
            return 0
        # "kind of" is a degree, too, though "kind" alone is praise.
        if word == "kind" and lower[place + 1 : place + 2] == ["of"]:
            return 0
        start = place - REACH if place > REACH else 0
        # VADER's own rules are slow; most words have nothing near that these rules look at.
        changed = (
            word == "no"
            or read.may_have_idiom
            or (read.is_cap_diff and read.words_and_emoticons[place].isupper())
            or any(near in _MODIFIERS or _NOT in near for near in lower[start:place])
        )
        if not changed:
            return self._lexicon[word]
        item = read.words_and_emoticons[place]
        valences: list[float] = self._vader.sentiment_valence(0, read, item, place, [])
        return valences[0]

    def _sum_up(self, text: str, valences: Sequence[float], shown: Sequence[str]) -> _Reading:
        total = float(sum(valences))
        emphasis = self._vader._punctuation_emphasis(text)  # noqa: SLF001 - its rule, not ours
        if total:
            total += emphasis if total > 0 else -emphasis
        words = tuple(
            Weighted(word, valence)
            for word, valence in zip(shown, valences, strict=True)
            if valence
        )
        return _Reading(round(float(normalize(total)), DECIMALS), words)

    def _without_emojis(self, text: str) -> str:
        """The text with words in the place of emojis, as VADER puts them."""
        if self._emojis.isdisjoint(text):
            return text
        described: dict[str, str] = self._vader.emojis
        pieces: list[str] = []
        for before, char in pairwise(" " + text):
            description = described.get(char)
            if description is None:
                pieces.append(char)
            else:
                # VADER puts a space before an emoji, but after another space, and none behind it.
                pieces.append(description if before == " " else f" {description}")
        return "".join(pieces)


def _split(text: str) -> list[str]:
    """The words, without the punctuation around them; emoticons as they are."""
    words = []
    for token in text.split():
        stripped = token.strip(punctuation)
        words.append(stripped if len(stripped) >= SHORTEST_STRIPPED else token)
    return words
