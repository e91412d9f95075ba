r"""Reads a file of rules: its rules, or why and in which line it is refused.

    tickers: [AAPL.US, 700.HK]          # one of them; "*" for any
    keywords:
      include: [guidance, price target] # one of them
      exclude: [sponsored]              # none of them
    patterns:                           # RE2's syntax, looked for in title and content
      include: ['(?i)\bQ[1-4] results\b']
      exclude: ['(?i)class action']
    max_age_hours: 24
    sentiment:
      threshold: 0.5
      mode: positive                    # negative, absolute

Each name may be left out; then the setting holds.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic_core import ErrorDetails

from streamdesk.news_filter.adapters.rule_file.yaml_lines import Place, YamlError, read_yaml
from streamdesk.news_filter.config import ANY_TICKER, MOST_AGE_HOURS, listed_symbols
from streamdesk.news_filter.domain.matching import (
    LONGEST_KEYWORD,
    MOST_INSTRUCTIONS_TOGETHER,
    MOST_KEYWORDS,
    Keywords,
    Patterns,
    compile_pattern,
)
from streamdesk.news_filter.domain.rules import FilterRules, SentimentMode
from streamdesk.news_filter.errors import RuleFileError

LARGEST_BYTES = 256 * 1024
MOST_PATTERNS = 1_000
_SHOWN_CHARS = 80
_PROBLEMS = {
    "too_short": "is empty; expected one at least",
    "too_long": "has more than {max_length}",
    "string_too_short": "is blank; expected a word",
    "string_too_long": "has more than {max_length} characters",
}

S = TypeVar("S")
T = TypeVar("T")


def _list(value: object) -> object:
    if value == "":  # the name alone, nothing after it
        return []
    if not isinstance(value, list):
        raise ValueError(f"expected a list, not {_short(value)}")  # noqa: TRY004 - a value's fault
    return value


def _starred(value: object) -> object:
    return _list(["*"] if value == "*" else value)


def _symbol(value: str) -> str:
    return listed_symbols((value,))[0]


def _only_star(values: tuple[str, ...]) -> tuple[str, ...]:
    if "*" in values and values != ANY_TICKER:
        raise ValueError("* lets every symbol pass: expected it alone")
    return values


def _pattern(source: str) -> str:
    compile_pattern(source)
    return source


_Word = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_KEYWORD)
]
_Words = Annotated[tuple[_Word, ...], BeforeValidator(_list), Field(max_length=MOST_KEYWORDS)]
_Source = Annotated[str, StringConstraints(min_length=1), AfterValidator(_pattern)]
_Sources = Annotated[tuple[_Source, ...], BeforeValidator(_list), Field(max_length=MOST_PATTERNS)]
_Tickers = Annotated[
    tuple[Annotated[str, AfterValidator(_symbol)], ...],
    BeforeValidator(_starred),
    AfterValidator(_only_star),
    Field(min_length=1),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class _WordRules(_Strict):
    include: _Words | None = None
    exclude: _Words | None = None


class _PatternRules(_Strict):
    include: _Sources | None = None
    exclude: _Sources | None = None


class _SentimentRules(_Strict):
    threshold: float | None = Field(None, ge=0, lt=1)
    mode: SentimentMode | None = None


class _RuleFile(_Strict):
    tickers: _Tickers | None = None
    keywords: _WordRules = _WordRules()
    patterns: _PatternRules = _PatternRules()
    max_age_hours: float | None = Field(None, gt=0, le=MOST_AGE_HOURS)
    sentiment: _SentimentRules = _SentimentRules()


class RuleFile:
    """A file of rules that may change while the filter runs.

    Args:
        path: where it is.
        otherwise: what holds for all that the file does not name.
    """

    def __init__(self, path: Path, otherwise: FilterRules) -> None:
        self.path = path
        self._otherwise = otherwise
        self._seen: bytes | str = ""
        """Content that was read last, or why there was none."""

    def changed(self) -> FilterRules | None:
        """The rules of the file; None while it is what it was at the last call.

        Contents are compared, not times: a ConfigMap changes by a symlink to another folder.

        Raises:
            RuleFileError: it is refused, and was not before with the same content.
        """
        try:
            content = read_bytes(self.path)
        except RuleFileError as error:
            if self._seen == str(error):
                return None
            self._seen = str(error)
            raise
        if self._seen == content:
            return None
        self._seen = content
        return parse_rules(content, self.path, self._otherwise)


def read_bytes(path: Path) -> bytes:
    """What is in the file now, whatever it links to.

    Raises:
        RuleFileError: it is not there, is no file, cannot be read, or is too large.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise RuleFileError(path, None, "is no file")
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise RuleFileError(path, None, f"cannot be read: {error.strerror or error}") from error
    if len(content) > LARGEST_BYTES:
        raise RuleFileError(path, None, f"has more than {LARGEST_BYTES} bytes")
    return content


def parse_rules(content: bytes, path: Path, otherwise: FilterRules) -> FilterRules:
    """The rules of a file.

    Args:
        content: of the file.
        path: what messages call it.
        otherwise: what holds for all that the file does not name.

    Raises:
        RuleFileError: it is refused; the message has the first line that is wrong, and why.
    """
    try:
        read, lines = read_yaml(content)
    except YamlError as error:
        raise RuleFileError(path, error.line, error.problem) from error
    if read is None:  # probably about to be written
        raise RuleFileError(path, None, "is empty; {} says that all settings hold")
    try:
        given = _RuleFile.model_validate(read)
    except ValidationError as error:
        first = min(error.errors(), key=lambda detail: _line(detail["loc"], lines))
        raise RuleFileError(path, _line(first["loc"], lines), _explained(first)) from error
    rules = _laid_over(given, otherwise)
    instructions = rules.patterns.instructions + rules.blocked_patterns.instructions
    if instructions > MOST_INSTRUCTIONS_TOGETHER:
        problem = f"patterns: {instructions} instructions, at most {MOST_INSTRUCTIONS_TOGETHER}"
        raise RuleFileError(path, _line(("patterns",), lines), f"{problem}; shorten or drop some")
    return rules


def _laid_over(given: _RuleFile, otherwise: FilterRules) -> FilterRules:
    keywords, patterns, sentiment = given.keywords, given.patterns, given.sentiment
    return replace(
        otherwise,
        tickers=_either(given.tickers, listed, otherwise.tickers),
        keywords=_either(keywords.include, Keywords, otherwise.keywords),
        blocked=_either(keywords.exclude, Keywords, otherwise.blocked),
        patterns=_either(patterns.include, Patterns, otherwise.patterns),
        blocked_patterns=_either(patterns.exclude, Patterns, otherwise.blocked_patterns),
        max_age=_either(given.max_age_hours, _hours, otherwise.max_age),
        threshold=_either(sentiment.threshold, float, otherwise.threshold),
        mode=_either(sentiment.mode, SentimentMode, otherwise.mode),
    )


def _either(value: S | None, make: Callable[[S], T], otherwise: T) -> T:
    return otherwise if value is None else make(value)


def _hours(hours: float) -> timedelta:
    return timedelta(hours=hours)


def listed(symbols: tuple[str, ...]) -> frozenset[str] | None:
    """What `FilterRules.tickers` is for these symbols."""
    return None if symbols == ANY_TICKER else frozenset(symbols)


def _line(place: Place, lines: dict[Place, int]) -> int:
    """The line of the value there, or of the nearest one around it."""
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 1)


def _explained(detail: ErrorDetails) -> str:
    where = ".".join(str(part) for part in detail["loc"]) or "the file"
    if detail["type"] == "extra_forbidden":
        return f"{where} is no rule; expected {_names_beside(detail['loc'])}"
    if detail["type"] == "model_type":
        return f"{where} is not a mapping; expected names with values"
    if detail["type"] in _PROBLEMS:
        return f"{where} {_PROBLEMS[detail['type']].format_map(detail.get('ctx', {}))}"
    said = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":
        return f"{where}: {said}"
    expected = said.removeprefix("Input should be ").partition(", unable")[0]
    return f"{where}: {_short(detail['input'])} is wrong; expected {expected}"


def _short(value: object) -> str:
    return f"{value!r:.{_SHOWN_CHARS}}"


def _names_beside(place: Place) -> str:
    model: type[BaseModel] = _RuleFile
    for part in place[:-1]:
        found = model.model_fields[str(part)].annotation
        if isinstance(found, type) and issubclass(found, BaseModel):
            model = found
    return ", ".join(model.model_fields)
