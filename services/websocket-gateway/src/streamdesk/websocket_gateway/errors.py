"""What can go wrong at the gateway, each with a stable code for the client.

GatewayError
├── ProtocolError      a client's message is invalid; its socket stays open
├── AccessError        the token is missing, invalid, or does not allow the request
│   └── TokenExpiredError  the token has expired
├── SendError          an event has no such destination
└── AssetMissingError  a file of the page is not installed
"""


class GatewayError(Exception):
    """Base of all errors of the gateway.

    Attributes:
        code: stable, for programs.
    """

    code = "internal"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.code


class ProtocolError(GatewayError):
    """A client's message is invalid; it gets an error reply, and its socket stays open.

    Attributes:
        message_id: the `id` of the message, when it could be read.
    """

    code = "bad-message"

    def __init__(self, code: str, message: str, message_id: str | int | None = None) -> None:
        super().__init__(message, code=code)
        self.message_id = message_id


class AccessError(GatewayError):
    """The token is missing or invalid, or does not allow the request.

    Attributes:
        status: the HTTP status of the same refusal.
    """

    code = "token-invalid"

    def __init__(self, message: str, *, code: str | None = None, status: int = 401) -> None:
        super().__init__(message, code=code)
        self.status = status


class TokenExpiredError(AccessError):
    """The token has expired; the client may return with a new one."""

    code = "token-expired"


class SendError(GatewayError):
    """The channel, user or connection an event should be sent to does not exist.

    Attributes:
        status: the HTTP status of the same refusal.
    """

    def __init__(self, code: str, message: str, *, status: int) -> None:
        super().__init__(message, code=code)
        self.status = status


class AssetMissingError(GatewayError):
    """A file of the page is not installed."""

    code = "asset-missing"
