"""What can stop a process before it has begun."""


class BadSettingError(ValueError):
    """A setting cannot be used; the process ends with this one line and exit code 2.

    Raise it from `factory.py` for what pydantic cannot see: a file that is not there, a port
    that is taken.

    Args:
        name: environment variable, as in METRICS_PORT.
        value: what it was set to; never a secret.
        expected: what would have been right.
    """

    def __init__(self, name: str, value: object, expected: str) -> None:
        super().__init__(f"{name}={value!s:.200}: expected {expected}")


class TickerFileError(ValueError):
    """The file of tickers is missing, not YAML, or not a list of symbols."""
