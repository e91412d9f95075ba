"""JSON Web Tokens: reading them from requests, checking and making them, redacting them in logs."""

import logging
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import jwt
from pydantic import SecretStr

from streamdesk.websocket_gateway.config import MIN_SECRET_BYTES
from streamdesk.websocket_gateway.domain.access import OPEN, ChannelAccess
from streamdesk.websocket_gateway.domain.protocol import TOKEN_SUBPROTOCOL_PREFIX
from streamdesk.websocket_gateway.errors import AccessError, TokenExpiredError

_LEEWAY_SECONDS = 5
_SECONDS_PER_HOUR = 3_600
_REDACTIONS = (
    (re.compile(r"(?i)\b(token=)[^&\s\"']+"), r"\1[redacted]"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]*\.[\w-]*"), "[redacted]"),
)


class TokenCarrier(Protocol):
    """What a socket's handshake and an HTTP request have in common."""

    @property
    def query_params(self) -> Mapping[str, str]:
        """The query."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, by lower-case name."""
        ...


def token_of(request: TokenCarrier) -> str | None:
    """The token: `Authorization: Bearer`, a `token.…` subprotocol, or `?token=`, in this order."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials:
        return credentials.strip()
    for offered in subprotocols_of(request):
        if offered.startswith(TOKEN_SUBPROTOCOL_PREFIX):
            return offered.removeprefix(TOKEN_SUBPROTOCOL_PREFIX)
    return request.query_params.get("token") or None


def subprotocols_of(request: TokenCarrier) -> list[str]:
    """The subprotocols a client offers, in its order."""
    header = request.headers.get("sec-websocket-protocol", "")
    return [name.strip() for name in header.split(",") if name.strip()]


class TokenVerifier:
    """Checks tokens and reads what they allow.

    Args:
        secret: the shared secret of HS256; None leaves the gateway open to everyone.
    """

    def __init__(self, secret: SecretStr | None) -> None:
        self._secret = secret

    @property
    def required(self) -> bool:
        """Whether a token is required."""
        return self._secret is not None

    def verify(self, token: str | None) -> ChannelAccess:
        """Read a token.

        Raises:
            AccessError: it is missing or invalid.
            TokenExpiredError: it has expired.
        """
        if self._secret is None:
            return OPEN
        if token is None:
            raise AccessError(
                "a token is required: Authorization header, token.… subprotocol or ?token=",
                code="token-missing",
            )
        try:
            claims = jwt.decode(
                token,
                self._secret.get_secret_value(),
                algorithms=["HS256"],
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "sub"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise TokenExpiredError("the token has expired") from error
        except jwt.PyJWTError as error:
            raise AccessError(f"the token is not valid: {error}") from error
        return _access(claims)


def _access(claims: Mapping[str, Any]) -> ChannelAccess:
    patterns = claims.get("channels")
    if patterns is not None and not _is_list_of_names(patterns):
        raise AccessError("the token's claim channels must be a list of names")
    return ChannelAccess(
        user=claims["sub"],
        patterns=None if patterns is None else tuple(patterns),
        expires_at=float(claims["exp"]) + _LEEWAY_SECONDS,
        may_publish=claims.get("publish") is True,
    )


def _is_list_of_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name for name in value)


def mint(secret: str, *, sub: str, hours: float, channels: Sequence[str], publish: bool) -> str:
    """A token that a gateway with this secret accepts.

    Args:
        secret: the shared secret of HS256.
        sub: the user the token is for.
        hours: how long it is valid, from now.
        channels: what it may subscribe; empty for all `events:` channels.
        publish: whether it may send events.

    Raises:
        ValueError: the secret is too short, or the time is not above 0.
    """
    length = len(secret.encode())
    if length < MIN_SECRET_BYTES:
        raise ValueError(
            f"GATEWAY_JWT_SECRET has {length} bytes: set it as for the gateway, "
            f"{MIN_SECRET_BYTES} bytes or more"
        )
    if hours <= 0:
        raise ValueError(f"--hours {hours:g}: expected more than 0")
    claims = {"sub": sub, "exp": int(time.time() + hours * _SECONDS_PER_HOUR), "publish": publish}
    if channels:
        claims["channels"] = list(channels)
    return jwt.encode(claims, secret, algorithm="HS256")


def redact(text: str) -> str:
    """The text without any token."""
    for pattern, replacement in _REDACTIONS:
        text = pattern.sub(replacement, text)
    return text


class RedactTokens(logging.Filter):
    """Removes tokens from log records before they are written."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record; never drops one."""
        record.msg = redact(record.getMessage())
        record.args = ()
        return True


def redact_logs(names: Iterable[str] = ("uvicorn.error", "uvicorn.access", "uvicorn.asgi")) -> None:
    """Redact the server's logs: request lines contain the query, and with it the token."""
    for name in names:
        log = logging.getLogger(name)
        if not any(isinstance(known, RedactTokens) for known in log.filters):
            log.addFilter(RedactTokens())
