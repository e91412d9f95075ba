"""What can go wrong in the operator.

OperatorError
├── KubernetesError         the API server refused, or did not answer
│   ├── NotFoundError       there is no such object or kind (404)
│   ├── ConflictError       another client changed it meanwhile (409)
│   └── ForbiddenError      the operator's role does not allow it (403)
├── PoolError               a pool that cannot be reconciled as it is
└── StalledError            no round succeeded for too long: the process has to be restarted
"""


class OperatorError(Exception):
    """Base of all errors of the operator."""


class KubernetesError(OperatorError):
    """The API server refused, or did not answer.

    Args:
        what: the request, as in `GET /api/v1/...`.
        status: HTTP status; 0 without an answer.
        message: its explanation.
    """

    def __init__(self, what: str, status: int, message: str) -> None:
        super().__init__(f"{what}: {status or 'no answer'}: {message}")
        self.status = status


class NotFoundError(KubernetesError):
    """There is no such object, or no such kind."""


class ConflictError(KubernetesError):
    """Another client changed the object meanwhile, or it exists already."""


class ForbiddenError(KubernetesError):
    """The operator's role does not allow it."""


class PoolError(OperatorError):
    """A pool that cannot be reconciled as it is.

    Args:
        reason: one word in camel case, for the condition Ready.
        message: one sentence that says what to change.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class StalledError(OperatorError):
    """No round succeeded, or the watch shows nothing new, for too long."""
