"""What can keep the indicator job from running.

JobError
├── JobRunningError    another process is at it
├── NoBarsError        the store has nothing to compute from
└── WorkerLostError    a process of the pool ended in the middle of its work
"""


class JobError(Exception):
    """The job cannot run; the message says why and what to do."""


class JobRunningError(JobError):
    """Another process computes into the same folder now."""


class NoBarsError(JobError):
    """The bar store has no bars of this market."""


class WorkerLostError(JobError):
    """A process of the pool ended, as when the machine runs out of memory."""
