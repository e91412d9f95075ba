"""What can go wrong with orders, by what it means.

    ExecutorError
    ├── DatabaseError                 a book cannot be used now; the same call may be made again
    │   ├── DatabaseBusyError         others hold it; nothing was written
    │   ├── DatabaseUnavailableError  not reached, or lost before the commit: nothing was written
    │   ├── DatabaseUnknownError      lost during the commit: it was written, or it was not
    │   └── DatabaseRefusedError      it is there and will not do: address, rights or version
    ├── BrokerUnavailableError        the broker was NOT reached: it does not have the order
    ├── OutcomeUnknownError           the broker may have the order; ask before sending again
    └── BrokerContradictionError      broker and ledger cannot both be right; a person must look

A refusal (a check of ours, or the broker's "no") is a result, not an error.
"""


class ExecutorError(Exception):
    """Base of all that this service raises."""


class DatabaseError(ExecutorError):
    """A book cannot be used at present.

    Whatever was asked may be asked again, also when it was done: each method of the ledger finds
    what is there (an order by its signal, a fill by its trade) before it writes.
    """


class DatabaseBusyError(DatabaseError):
    """Others kept the database locked for longer than the time-out; nothing was written."""


class DatabaseUnavailableError(DatabaseError):
    """The database was not reached, or was lost before the commit; nothing was written."""


class DatabaseUnknownError(DatabaseError):
    """The database was lost while it committed: what was asked is written, or it is not."""


class DatabaseRefusedError(DatabaseError):
    """The database is there and does not let us work: wrong address, no rights, wrong version."""


class BrokerUnavailableError(ExecutorError):
    """The broker was not reached, so nothing was asked of it."""


class OutcomeUnknownError(ExecutorError):
    """The broker was asked and did not answer: it may or may not have the order."""


class BrokerContradictionError(ExecutorError):
    """What the broker reports cannot be booked; trading stops until a person has looked."""
