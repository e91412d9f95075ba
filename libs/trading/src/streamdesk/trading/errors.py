"""What can go wrong when trades are booked, and tables and rates are read."""


class OversoldError(Exception):
    """A trade sells more than is held; nothing can be booked from there."""


class BadRowError(ValueError):
    """A file that a person maintains has a value that cannot be used.

    Args:
        place: file and line.
        column: which value.
        value: what it is.
        expected: what it should be.
    """

    def __init__(self, place: str, column: str, value: str, expected: str) -> None:
        super().__init__(f"{place}: {column} is {value!r}; expected {expected}")


class MarketTableError(BadRowError):
    """A table of lots, ticks or fees cannot be used."""


class RateFileError(BadRowError):
    """A file of exchange rates cannot be used."""


class ActionFileError(BadRowError):
    """A file of corporate actions cannot be used."""
