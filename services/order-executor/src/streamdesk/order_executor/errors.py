"""What can go wrong with orders, by what it means.

    ExecutorError
    ├── LedgerBusyError             another process holds the ledger; try again
    ├── BrokerUnavailableError      the broker was NOT reached: it does not have the order
    ├── OutcomeUnknownError         the broker may have the order; ask before sending again
    └── BrokerContradictionError    broker and ledger cannot both be right; a person must look

A refusal (a check of ours, or the broker's "no") is a result, not an error.
"""


class ExecutorError(Exception):
    """Base of all that this service raises."""


class LedgerBusyError(ExecutorError):
    """Another process kept the ledger locked for longer than the time-out; nothing was written."""


class BrokerUnavailableError(ExecutorError):
    """The broker was not reached, so nothing was asked of it."""


class OutcomeUnknownError(ExecutorError):
    """The broker was asked and did not answer: it may or may not have the order."""


class BrokerContradictionError(ExecutorError):
    """What the broker reports cannot be booked; trading stops until a person has looked."""
