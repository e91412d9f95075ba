"""Reads a user's own tables of lots, ticks and fees."""

from pathlib import Path

from streamdesk.trading.errors import MarketTableError
from streamdesk.trading.market_tables import TABLE_FILES, MarketTables, built_in, read_tables


def market_tables(folder: Path | None) -> MarketTables:
    """The built-in tables, with the rows of a folder over them.

    Args:
        folder: has some of `TABLE_FILES`; None for the built-in tables alone.

    Raises:
        MarketTableError: a file cannot be read or used, is none of the tables, or none is there.
    """
    if folder is None:
        return built_in()
    expected = f"some of {', '.join(TABLE_FILES)}"
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".csv")
        unknown = [path.name for path in paths if path.name not in TABLE_FILES]
        if unknown or not paths:
            raise MarketTableError(f"{folder}", "content", ", ".join(unknown), expected)
        texts = {path.name: path.read_text("utf-8-sig") for path in paths}
    except (OSError, UnicodeError) as error:
        raise MarketTableError(
            f"{folder}", "folder", f"{error}", f"a folder with {expected}"
        ) from error
    return built_in().extended(read_tables(texts, f"{folder}/"))
