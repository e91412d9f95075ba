"""What the bus tells its callers, by what they should do.

    BusError
    ├── BusConfigError         fix the setting; nothing will work before
    ├── BusUnavailableError    the server did not answer in time; the outcome may be unknown
    └── QueueFullError         slow down; nothing was written

    Raised BY a handler, to say what should become of its message:
    RetryAfter                 again after so many seconds
    Reject                     never again: to the dead letters, with this reason

Any other exception of a handler means: again, with exponential backoff, a limited number of times.
"""


class BusError(Exception):
    """Base of all that the bus raises."""


class BusConfigError(BusError, ValueError):
    """A setting cannot work; the message names it, its value and what was expected."""


class BusUnavailableError(BusError):
    """The server did not answer in time, or refused for now."""


class QueueFullError(BusError):
    """As many messages wait as the topic allows. Nothing was written; slow down."""

    def __init__(self, topic: str, limit: int, backlog: int) -> None:
        super().__init__(
            f"topic {topic!r} holds {backlog} unfinished messages, its limit is {limit}; "
            "wait for the consumers, or raise the limit"
        )
        self.topic = topic
        self.limit = limit
        self.backlog = backlog


class RetryAfter(Exception):  # noqa: N818 - an instruction, not a fault
    """Raised by a handler: not now, again after `seconds`."""

    def __init__(self, seconds: float, why: str = "") -> None:
        super().__init__(why or f"again after {seconds} s")
        self.seconds = seconds


class Reject(Exception):  # noqa: N818 - an instruction, not a fault
    """Raised by a handler: this message can never succeed; put it to the dead letters."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason
        self.detail = detail
