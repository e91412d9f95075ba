"""The HTTP side: one route, a bearer token, bodies of a bounded size, errors as JSON."""

import hmac

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from streamdesk.alert_relay.application.queue_notification import QueueNotification
from streamdesk.alert_relay.errors import WebhookError
from streamdesk.runtime import logger, metrics

LARGEST_BODY_BYTES = 8 << 20
"""Enough for some ten thousand alerts."""

RETRY_AFTER_SECONDS = 5

_UNAUTHORIZED = 401
_SERVER_ERRORS = 500

log = logger(__name__)


def application(notifications: QueueNotification, token: str) -> FastAPI:
    """The relay's HTTP application.

    Args:
        notifications: queues them.
        token: the bearer token that a request needs; empty for none.
    """
    app = FastAPI(title="Streamdesk alert relay", version="1", docs_url=None, redoc_url=None)

    @app.post("/webhook", description="Where Alertmanager's webhook_configs points to.")
    async def webhook(request: Request) -> JSONResponse:
        _authorize(request.headers.get("authorization", ""), token)
        event = await notifications.queue(await _body(request))
        return JSONResponse({"queued": len(event.alerts) + event.left_out})

    app.add_exception_handler(WebhookError, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _failed)
    return app


def _authorize(header: str, token: str) -> None:
    """Refuse a request without the token.

    Args:
        header: Authorization.
        token: the one expected; empty for none.

    Raises:
        WebhookError: 401.
    """
    if not token:
        return
    scheme, _, shown = header.partition(" ")
    # Compared in constant time: how long a refusal takes must not reveal the token.
    if scheme.lower() != "bearer" or not hmac.compare_digest(shown.encode(), token.encode()):
        raise WebhookError(
            401,
            "unauthorized",
            "the request needs `Authorization: Bearer <token>` with the token of "
            "ALERT_RELAY_TOKEN; in Alertmanager: http_config.authorization.credentials",
        )


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY_BYTES:
            raise WebhookError(
                413,
                "too-large",
                f"the body is larger than {LARGEST_BODY_BYTES:,} bytes: set max_alerts in "
                "Alertmanager's webhook_configs",
            )
    return bytes(body)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    status = error.status if isinstance(error, WebhookError) else _SERVER_ERRORS
    outcome = error.outcome if isinstance(error, WebhookError) else "unavailable"
    metrics.ALERT_WEBHOOKS.labels(outcome).inc()
    headers = {}
    if status == _UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    elif status >= _SERVER_ERRORS:
        headers["retry-after"] = str(RETRY_AFTER_SECONDS)
    if status < _SERVER_ERRORS:
        log.warning("notification refused", status=status, why=str(error))
    return JSONResponse({"error": str(error)}, status, headers)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else _SERVER_ERRORS
    words = f"{request.method} {request.url.path}: expected POST /webhook"
    return JSONResponse({"error": words}, status)


async def _failed(_request: Request, error: Exception) -> JSONResponse:
    log.error("request failed", exc_info=error)
    metrics.ALERT_WEBHOOKS.labels("unavailable").inc()
    return JSONResponse({"error": "not queued, send it again: an internal error"}, 500)
