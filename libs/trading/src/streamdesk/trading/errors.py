"""What can go wrong when trades are booked, and tables and rates are read."""


class OversoldError(Exception):
    """A trade sells more than is held; nothing can be booked from there."""


class MarketTableError(ValueError):
    """A table of lots, ticks or fees cannot be used.

    Args:
        place: file and line.
        column: which value.
        value: what it is.
        expected: what it should be.
    """

    def __init__(self, place: str, column: str, value: str, expected: str) -> None:
        super().__init__(f"{place}: {column} is {value!r}; expected {expected}")


class RateFileError(ValueError):
    """A file of exchange rates cannot be used.

    Args:
        place: file and line.
        column: which value.
        value: what it is.
        expected: what it should be.
    """

    def __init__(self, place: str, column: str, value: str, expected: str) -> None:
        super().__init__(f"{place}: {column} is {value!r}; expected {expected}")


class ActionFileError(ValueError):
    """A file of corporate actions cannot be used.

    Args:
        place: file and line.
        column: which value.
        value: what it is.
        expected: what it should be.
    """

    def __init__(self, place: str, column: str, value: str, expected: str) -> None:
        super().__init__(f"{place}: {column} is {value!r}; expected {expected}")
