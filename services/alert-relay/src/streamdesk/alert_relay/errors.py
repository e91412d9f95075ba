"""What can go wrong in the relay.

RelayError
├── WebhookError   a notification is refused, with an HTTP status
└── JournalLostError  the journal is not ours to write, or it is not known what is in it
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


class JournalLostError(RelayError):
    """Another process has the lease, or a write is unconfirmed: read the journal again."""
