"""Reads the file of tickers."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from streamdesk.contracts.fields import Symbol
from streamdesk.news_filter.errors import TickerFileError

_SYMBOLS: TypeAdapter[tuple[Symbol, ...]] = TypeAdapter(tuple[Symbol, ...])


def parse_symbols(values: object) -> tuple[str, ...]:
    """Symbols in our spelling: upper case, Hong Kong codes without leading zeros.

    Raises:
        ValueError: not a list, or one of them is not a symbol.
    """
    if not isinstance(values, (list, tuple)):
        raise ValueError("not a list")  # noqa: TRY004 - what a file says is a value, not a type
    try:
        return _SYMBOLS.validate_python(tuple(_spelled(str(value)) for value in values))
    except ValidationError as error:
        wrong = error.errors()[0]["input"]
        raise ValueError(f"{wrong!r} is not a symbol, as in AAPL.US or 700.HK") from error


def _spelled(symbol: str) -> str:
    upper = symbol.strip().upper()
    return upper.lstrip("0") if upper.endswith(".HK") else upper


def load_tickers(path: Path) -> tuple[str, ...]:
    """The symbols in a YAML file: a list, or a mapping with a list under `tickers`.

    Raises:
        TickerFileError: the file is missing, unreadable or of another shape.
    """
    try:
        read: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TickerFileError(f"cannot be read: {error}") from error
    values = read.get("tickers") if isinstance(read, dict) else read
    try:
        return parse_symbols(values)
    except ValueError as error:
        raise TickerFileError(str(error)) from error
