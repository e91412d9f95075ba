"""What can go wrong in the relay.

RelayError
├── WebhookError   a notification is refused, with an HTTP status
└── BookLostError  the book is not ours to write, or it is not known what is in it
"""


class RelayError(Exception):
    """Base of all errors of the relay."""


class WebhookError(RelayError):
    """A notification is refused.

    Attributes:
        status: of HTTP. 4xx: Alertmanager does not send it again; 5xx: it does.
        outcome: one word for the metric.
    """

    def __init__(self, status: int, outcome: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.outcome = outcome


class BookLostError(RelayError):
    """Another process has the lease, or Redis did not say whether it wrote: read the book anew."""
