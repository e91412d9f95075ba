"""What the bus raises, by what its callers should do.

    BusError
    ├── BusConfigError         fix the setting; nothing will work before
    ├── BusUnavailableError    the server did not answer in time; the outcome may be unknown
    │   ├── ServerFullError    its memory is full: nothing was written; slow down, raise an alert
    │   └── NotDurableError    written, but not known to be on enough replicas
    ├── QueueFullError         slow down; nothing was written
    └── LeaseLostError         another process holds the lease; nothing was written

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


class ServerFullError(BusUnavailableError):
    """The server's memory is full: nothing was written. Consumers continue and make room."""


class NotDurableError(BusUnavailableError):
    """Too few replicas confirmed a write in time; it may be lost with the master, or may not."""

    def __init__(self, wanted: int, confirmed: int, timeout_ms: int) -> None:
        super().__init__(
            f"{confirmed} of {wanted} replicas confirmed a write within {timeout_ms} ms; "
            "look at the replicas, or ask for fewer"
        )
        self.wanted = wanted
        self.confirmed = confirmed


class QueueFullError(BusError):
    """As many messages wait as the topic allows. Nothing was written; slow down.

    Attributes:
        topic: name of the topic.
        limit: its `max_backlog`, or its `hard_cap`.
        backlog: unfinished messages, or, at the cap, entries of the stream.
        stream: key of the stream that is at the cap; empty at `max_backlog`.
    """

    def __init__(self, topic: str, limit: int, backlog: int, stream: str = "") -> None:
        held, name = f"{backlog} unfinished messages", "limit"
        if stream:
            held, name = f"{backlog} entries in stream {stream!r}", "hard cap"
        super().__init__(
            f"topic {topic!r} holds {held}, its {name} is {limit}; "
            f"wait for the consumers, or raise the {name}"
        )
        self.topic = topic
        self.stream = stream
        self.limit = limit
        self.backlog = backlog


class LeaseLostError(BusError):
    """Another process holds the lease now, or will; the write of this one was refused."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the lease of {name} is not ours any more; nothing was written")


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
