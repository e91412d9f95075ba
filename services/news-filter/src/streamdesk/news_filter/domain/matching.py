"""Words and patterns to look for in an article, in time that grows only with its length.

Both use RE2, which has no backtracking: no pattern can be made slow by a text. What cannot be
matched that way (backreferences, look-around) it refuses.
"""

from collections.abc import Iterable
from typing import Any

import re2

MOST_INSTRUCTIONS = 2_000
"""Size of one compiled pattern: a text of 100,000 characters costs two seconds at worst."""
MOST_INSTRUCTIONS_TOGETHER = 10_000
MOST_MEMORY_BYTES = 1 << 20  # of one pattern: its states are made as texts need them
MOST_KEYWORD_BYTES = 64 << 20  # of all keywords as one pattern
MOST_KEYWORDS = 1_000
LONGEST_KEYWORD = 200

_NO_LINEAR_TIME = "backreferences and look-around have no place here, their cost has no bound"
_SHOWN_CHARS = 80


class PatternError(ValueError):
    """A pattern that RE2 refuses, or that is too large."""


class Text:
    """What the rules look at: title and content, encoded once and only if some rule asks."""

    __slots__ = ("_content", "_encoded", "_title")

    def __init__(self, title: str, content: str) -> None:
        self._title = title
        self._content = content
        self._encoded: bytes | None = None

    @property
    def encoded(self) -> bytes:
        """Title, line break, content, in UTF-8."""
        if self._encoded is None:
            text = f"{self._title}\n{self._content}"
            self._encoded = text.encode("utf-8", "replace")
        return self._encoded


class Keywords:
    """Words and phrases to look for: whole words, whatever their case.

    Next to a letter of a script without spaces between words (Chinese) a keyword needs no
    boundary.

    Raises:
        PatternError: there are more than 1,000, or one has more than 200 characters.
    """

    def __init__(self, keywords: Iterable[str]) -> None:
        spaced = (" ".join(keyword.lower().split()) for keyword in keywords)
        sources = {word: _whole_word(word) for word in spaced if word}
        if len(sources) > MOST_KEYWORDS:
            raise PatternError(f"{len(sources)} keywords; at most {MOST_KEYWORDS}")
        self._each = {word: _compiled(f"(?i){source}") for word, source in sources.items()}
        # Most articles have none: one pass finds that out, however many keywords there are.
        together = "|".join(sources.values())
        self._any = _compiled(f"(?i){together}", MOST_KEYWORD_BYTES) if together else None

    def __bool__(self) -> bool:
        return bool(self._each)

    def __len__(self) -> int:
        return len(self._each)

    def found_in(self, text: Text) -> tuple[str, ...]:
        """The keywords that occur, lower case, in the order they were given."""
        encoded = text.encoded if self._any else b""
        if self._any is None or not self._any.search(encoded):
            return ()
        return tuple(word for word, pattern in self._each.items() if pattern.search(encoded))


def _whole_word(word: str) -> str:
    if len(word) > LONGEST_KEYWORD:
        raise PatternError(f"keyword {_short(word)} has {len(word)} characters; at most 200")
    before = "(?:^|[^A-Za-z0-9])" if word[0].isascii() and word[0].isalnum() else ""
    after = "(?:$|[^A-Za-z0-9])" if word[-1].isascii() and word[-1].isalnum() else ""
    inner = r"[\s\pZ]+".join(str(re2.escape(part)) for part in word.split())
    return f"{before}{inner}{after}"


class Patterns:
    """Regular expressions in RE2's syntax, searched for anywhere in title and content.

    Raises:
        PatternError: RE2 refuses one of them, or it is too large.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._compiled = {source: compile_pattern(source) for source in patterns}
        self.instructions = sum(pattern.programsize for pattern in self._compiled.values())
        """Size of all together."""

    def __bool__(self) -> bool:
        return bool(self._compiled)

    def __len__(self) -> int:
        return len(self._compiled)

    def first_in(self, text: Text) -> tuple[str, str] | None:
        """The first pattern that occurs, and what it found there; None if none does."""
        for source, pattern in self._compiled.items():
            match = pattern.search(text.encoded)
            if match:
                return source, match.group().decode("utf-8", "replace")
        return None


def compile_pattern(source: str) -> Any:  # noqa: ANN401 - the library has no types
    """A pattern, compiled.

    Raises:
        PatternError: RE2 refuses it, it matches every article, or it is too large.
    """
    try:
        compiled = _compiled(source)
    except re2.error as error:
        why = error.args[0] if error.args else ""
        problem = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
        raise PatternError(
            f"pattern {_short(source)} is refused by RE2: {problem} ({_NO_LINEAR_TIME})"
        ) from error
    if compiled.search(b"\n"):  # the line break after each title
        raise PatternError(
            f"pattern {_short(source)} matches every article, whatever its text; expected one "
            "that needs some character"
        )
    if compiled.programsize > MOST_INSTRUCTIONS:
        raise PatternError(
            f"pattern {_short(source)} is too large: {compiled.programsize} instructions, "
            f"at most {MOST_INSTRUCTIONS}; shorten its repetitions or character classes"
        )
    return compiled


def _compiled(source: str, memory_bytes: int = MOST_MEMORY_BYTES) -> Any:  # noqa: ANN401 - the library has no types
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True  # only whether and where
    options.max_mem = memory_bytes
    return re2.compile(source, options)


def _short(source: str) -> str:
    return repr(source if len(source) <= _SHOWN_CHARS else source[:_SHOWN_CHARS] + "…")
