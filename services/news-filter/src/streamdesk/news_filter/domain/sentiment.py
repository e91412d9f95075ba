"""What a sentiment is, for all scorers alike."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

NEUTRAL_BAND = 0.05  # VADER's authors call a score between -0.05 and 0.05 neutral
MOST_WORDS = 8
LEAD_SENTENCES = 3
LEAD_MAX_CHARS = 1_000

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Weighted:
    """Something that a sentiment comes from.

    Attributes:
        text: a word, or several that count as one, as they are spelled in the article.
        weight: what it adds, with its sign; its scale is the scorer's (VADER's valences: about
            -4 to 4, after negation and degree).
    """

    text: str
    weight: float

    def __str__(self) -> str:
        """As in `beats estimates +2.5`."""
        return f"{self.text} {self.weight:+.1f}"


@dataclass(frozen=True, slots=True)
class Score:
    """The sentiment of an article.

    Attributes:
        value: from -1 (very bad for the share price) over 0 (neutral) to 1 (very good).
        words: what it comes from, strongest first, at most 8; of equal ones the earlier first.
    """

    value: float
    words: tuple[Weighted, ...] = ()


def strongest(words: Iterable[Weighted]) -> tuple[Weighted, ...]:
    """The first 8 by strength, as a Score wants them."""
    return tuple(sorted(words, key=lambda word: -abs(word.weight))[:MOST_WORDS])


def blend(score: Score, polarity: float | None, weight: float) -> Score:
    """A score with the provider's own sentiment in it.

    Args:
        score: ours.
        polarity: the provider's, -1 to 1; None if it gave none: then ours is not changed.
        weight: its share, 0 to 1; the rest is ours.
    """
    if polarity is None:
        return score
    value = (1 - weight) * score.value + weight * polarity
    return Score(max(-1.0, min(1.0, value)), score.words)


def lead(content: str) -> list[str]:
    """The first sentences of a text: what counts where a headline is neutral.

    Only those, because the sum over a whole text tends to an extreme, whatever the text.
    """
    start = content[:LEAD_MAX_CHARS].strip()
    sentences = _SENTENCE_END.split(start, maxsplit=LEAD_SENTENCES)[:LEAD_SENTENCES]
    return [sentence for sentence in sentences if sentence]
