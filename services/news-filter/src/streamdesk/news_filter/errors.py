"""What can be wrong with what the filter is set up with.

    NewsFilterError
    ├── LexiconError        the finance lexicon cannot be read
    └── TickerFileError     the file of tickers cannot be read

Nothing an article contains is an error here: it passes, or is dropped for a reason (`domain.py`).
"""


class NewsFilterError(Exception):
    """Anything this service expects to go wrong."""


class LexiconError(NewsFilterError):
    """The finance lexicon is not of the shape that its head describes."""


class TickerFileError(NewsFilterError):
    """The file of tickers is missing, not YAML, or not a list of symbols."""
