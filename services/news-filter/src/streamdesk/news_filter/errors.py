"""What can go wrong with the set-up of the filter.

    NewsFilterError
    ├── FinbertModelError   the FinBERT model is missing or of another shape
    ├── LexiconError        the finance lexicon cannot be read
    └── RuleFileError       the file of rules is refused

Nothing an article contains is an error here: it passes, or is dropped for a reason (`domain/`).
"""


class NewsFilterError(Exception):
    """Anything this service expects to go wrong."""


class FinbertModelError(NewsFilterError):
    """There is no FinBERT model that can be used, or nothing to run it with."""


class LexiconError(NewsFilterError):
    """The finance lexicon is not of the shape that its head describes."""


class RuleFileError(NewsFilterError):
    """The file of rules is missing, not YAML, or contains something that cannot be a rule.

    Args:
        file: which file.
        line: where in it, from 1; None if it could not be read at all.
        problem: what is wrong, which value, what was expected.
    """

    def __init__(self, file: object, line: int | None, problem: str) -> None:
        where = f"{file}, line {line}" if line else str(file)
        super().__init__(f"{where}: {problem}")
        self.line = line
        self.problem = problem
