"""Finds the pairs of the finance lexicon in a text."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from streamdesk.news_filter.adapters.vader.lexicon import Pair

_RUN = re.compile(r"[\w-]+")
# Which match i, s and k where case does not count, but are not those in lower case.
_ODD_CASES = re.compile("[\u0130\u0131\u017f\u212a]")


@dataclass(frozen=True, slots=True)
class Found:
    """A pair that stood in a text.

    Attributes:
        token: the pair's name in the lexicon.
        text: what stood there.
    """

    token: str
    text: str


_NONE: Mapping[str, Found] = {}


class PairFinder:
    """Puts one word in the place of each pair.

    Each pair has a pattern, and there are dozens: only those are tried of which both sides have
    their first word in the text, in that order.

    Args:
        pairs: what to look for, in this order: what one takes, none after it finds.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._pairs = pairs
        self._all = (1 << len(pairs)) - 1
        self._firsts: dict[str, int] = {}
        self._seconds: dict[str, int] = {}
        for number, pair in enumerate(pairs):
            _enter(self._firsts, pair.first, 1 << number)
            _enter(self._seconds, pair.second, 1 << number)
        # A phrase that no word of a text leads to: always looked for.
        self._always_first = self._firsts.pop("", 0)
        self._always_second = self._seconds.pop("", 0)

    def replace(self, text: str) -> tuple[str, Mapping[str, Found]]:
        """The text with a name in the place of each pair, and the pairs by their names."""
        candidates = self._candidates(text)
        if not candidates:
            return text, _NONE
        found: dict[str, Found] = {}

        def named(pair: Pair, match: re.Match[str]) -> str:
            # A name of its own for each: the text behind it differs. A pair may take an earlier
            # one in, which shows as it stood.
            name = f"{pair.token}_{len(found)}"
            found[name] = Found(pair.token, _shown(match[0], found))
            return name

        for pair in self._in_order(candidates):
            text = pair.pattern.sub(lambda match, pair=pair: named(pair, match), text)  # type: ignore[misc] # bound early
        return text, found

    def _candidates(self, text: str) -> int:
        """The pairs that the text can have, a bit each."""
        if not text.isascii() and _ODD_CASES.search(text):
            return self._all
        begun, candidates = self._always_first, 0
        seconds, firsts = self._seconds, self._firsts
        for run in _RUN.findall(text.lower()):
            if run in seconds:
                candidates |= begun & seconds[run]
            if run in firsts:
                begun |= firsts[run]
        return candidates | (begun & self._always_second)

    def _in_order(self, candidates: int) -> Iterator[Pair]:
        while candidates:
            lowest = candidates & -candidates
            yield self._pairs[lowest.bit_length() - 1]
            candidates ^= lowest


def _enter(index: dict[str, int], phrases: Sequence[str], bit: int) -> None:
    for phrase in phrases:
        run = _RUN.search(phrase.lower()) if phrase.isascii() else None
        key = run[0] if run else ""
        index[key] = index.get(key, 0) | bit


def _shown(matched: str, found: dict[str, Found]) -> str:
    for name in reversed(found):  # one name may begin another, that came later
        matched = matched.replace(name, found[name].text)
    return " ".join(matched.split())
