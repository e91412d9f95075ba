"""What can go wrong with orders, by what it means.

    ExecutorError
    ├── DatabaseError                 unavailable now; the same call may be made again
    │   ├── DatabaseBusyError         others hold it; nothing was written
    │   ├── DatabaseUnavailableError  not reached, or lost before the commit: nothing was written
    │   ├── DatabaseDamagedError      reached, but its file is not a database, or not a whole one
    │   ├── DatabaseUnknownError      lost during the commit: written or not, unknown
    │   └── DatabaseRefusedError      reached, but unusable: address, rights or version
    ├── BrokerUnavailableError        the broker was NOT reached: it does not have the order
    ├── OutcomeUnknownError           the broker may have the order; ask before sending again
    ├── TradingStoppedError           the kill switch forbids it: nothing was sent
    ├── ClockOffError                 this machine's clock is too far off the broker's
    ├── AdoptionError                 a trade cannot be booked as it is; nothing was written
    ├── BrokerContradictionError      broker and ledger cannot both be right; a person must look
    └── UnknownLockError              a person named a lock that is not there

A refusal (a check of ours, or the broker's "no") is a result, not an error.
"""


class ExecutorError(Exception):
    """Base of all that this service raises."""


class DatabaseError(ExecutorError):
    """A database cannot be used at present.

    The same call may be made again, also when it was carried out: each method of the ledger finds
    what is there (an order by its signal, a fill by its trade) before it writes.
    """


class DatabaseBusyError(DatabaseError):
    """Others kept the database locked for longer than the time-out; nothing was written."""


class DatabaseUnavailableError(DatabaseError):
    """The database was not reached, or was lost before the commit; nothing was written."""


class DatabaseDamagedError(DatabaseError):
    """The file is not a database, or not a whole one."""


class DatabaseUnknownError(DatabaseError):
    """The database was lost while it committed: what was asked is written, or it is not."""


class DatabaseRefusedError(DatabaseError):
    """The database was reached and cannot be used: wrong address, no rights, wrong version."""


class BrokerUnavailableError(ExecutorError):
    """The broker was not reached, so nothing was asked of it."""


class OutcomeUnknownError(ExecutorError):
    """The broker was asked and did not answer: it may or may not have the order."""


class TradingStoppedError(ExecutorError):
    """The kill switch forbids to send this order at present."""


class ClockOffError(ExecutorError):
    """This machine's clock is too far off the broker's to say what was sent recently."""


class AdoptionError(ExecutorError):
    """An external trade cannot be adopted into the books; the message says why."""


class BrokerContradictionError(ExecutorError):
    """What the broker reports cannot be booked; trading stops until a person has looked."""


class UnknownLockError(ExecutorError):
    """A lock of entries that was named is not there, or has ended."""
