"""What can go wrong in the relay.

RelayError
├── WebhookError      a notification is refused, with an HTTP status
└── JournalLostError  another process may write the journal, or a write is unconfirmed
"""


class RelayError(Exception):
    """Base of all errors of the relay."""


class WebhookError(RelayError):
    """A notification is refused.

    Attributes:
        status: HTTP status. Alertmanager sends the notification again after 5xx, not after 4xx.
        outcome: one word for the metric.
    """

    def __init__(self, status: int, outcome: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.outcome = outcome


class JournalLostError(RelayError):
    """Another process has the lease, or a write is unconfirmed: read the journal again."""
