"""Which instruments news is about: the desk's own list, or a file's.

The news fetcher asks for these instruments and the news filter lets them pass: one list, so that
nothing is fetched that would be dropped.
"""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from streamdesk.contracts.fields import Symbol
from streamdesk.contracts.symbols import canonical_symbol
from streamdesk.runtime.errors import TickerFileError

WATCHLIST = (
    "AAPL.US",
    "MSFT.US",
    "NVDA.US",
    "TSLA.US",
    "AMZN.US",
    "GOOGL.US",
    "META.US",
    "700.HK",
    "9988.HK",
    "3690.HK",
    "5.HK",
    "1810.HK",
)
"""The desk's instruments."""

_SYMBOLS: TypeAdapter[tuple[Symbol, ...]] = TypeAdapter(tuple[Symbol, ...])


def parse_symbols(values: object) -> tuple[str, ...]:
    """Symbols in our spelling, each once.

    Raises:
        ValueError: not a list, or one of them is not a symbol.
    """
    if not isinstance(values, (list, tuple)):
        raise ValueError("not a list")  # noqa: TRY004 - what a file says is a value, not a type
    spelled = dict.fromkeys(canonical_symbol(str(value).strip()) for value in values)
    try:
        return _SYMBOLS.validate_python(tuple(spelled))
    except ValidationError as error:
        wrong = error.errors()[0]["input"]
        raise ValueError(f"{wrong!r} is not a symbol, as in AAPL.US or 700.HK") from error


def load_tickers(path: Path) -> tuple[str, ...]:
    """The symbols in a YAML file: a list, or a mapping with a list under `tickers`.

    Raises:
        TickerFileError: the file is missing, unreadable or of another shape.
    """
    import yaml  # noqa: PLC0415 - costs every process 60 ms, and few read such a file

    try:
        read: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TickerFileError(f"cannot be read: {error}") from error
    values = read.get("tickers") if isinstance(read, dict) else read
    try:
        return parse_symbols(values)
    except ValueError as error:
        raise TickerFileError(str(error)) from error
