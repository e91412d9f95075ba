"""What changes in VADER's lexicon for finance: `finance_lexicon.yaml`, read and checked."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

from streamdesk.news_filter.errors import LexiconError

MOST_WORDS_BETWEEN = 3
LARGEST_VALENCE = 4.0  # the end of VADER's scale


@dataclass(frozen=True, slots=True)
class Pair:
    """Two words, near one another, that count as one token.

    Attributes:
        pattern: finds them.
        token: the name they have in the lexicon.
        valence: -4 to 4.
        first: what the pair may begin with; words or phrases.
        second: what it may end with.
    """

    pattern: re.Pattern[str]
    token: str
    valence: float
    first: tuple[str, ...]
    second: tuple[str, ...]


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
    text = (files("streamdesk.news_filter.adapters.vader") / "finance_lexicon.yaml").read_text(
        encoding="utf-8"
    )
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
    first, second = (tuple(_words(row[side])) for side in ("any", "then"))
    between = rf"(?:\s+[^\s.!?;:]+){{0,{MOST_WORDS_BETWEEN}}}?\s+"
    pattern = rf"(?<![\w-])(?:{_any_of(first)}){between}(?:{_any_of(second)})(?![\w-])"
    valence = _valence(row["valence"])
    return Pair(re.compile(pattern, re.IGNORECASE), f"pair_{number}", valence, first, second)


def _any_of(phrases: Sequence[str]) -> str:
    return "|".join(re.escape(phrase) for phrase in phrases)
