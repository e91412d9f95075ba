"""Why the server closes a socket."""

from enum import IntEnum

from streamdesk.websocket_gateway.errors import AccessError, TokenExpiredError


class CloseCode(IntEnum):
    """Why the server closes a socket.

    Below 4500 a client should reconnect, after a pause with jitter. From 4500 on it should not: the
    result would be the same until its configuration changes.
    """

    SHUTDOWN = 4001
    """The server is shutting down; another replaces it."""
    TOKEN_EXPIRED = 4005
    """The token has expired; reconnect with a new one."""
    SLOW_CONSUMER = 4008
    """The client reads slower than its channels write, and its queue is full."""
    IDLE = 4012
    """The client sent nothing for the idle timeout; heartbeats prevent it."""
    TOKEN_INVALID = 4500
    """No token, or an invalid one."""


def close_code_of(error: AccessError) -> CloseCode:
    """The code a socket is closed with when its token is refused."""
    if isinstance(error, TokenExpiredError):
        return CloseCode.TOKEN_EXPIRED
    return CloseCode.TOKEN_INVALID
