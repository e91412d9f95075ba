"""The API server: a few requests, with the login that kopf finds.

There is no client library: the operator uses seven endpoints, and kopf brings aiohttp. A request is
not retried; the next round makes the next one.
"""

import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import aiohttp
import kopf

from streamdesk.operator.errors import (
    ConflictError,
    ForbiddenError,
    KubernetesError,
    NotFoundError,
    OperatorError,
)

JsonObject = dict[str, Any]
Login = Callable[[], kopf.ConnectionInfo]

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
TIMEOUT_SECONDS = 10.0
_ERRORS: Mapping[int, type[KubernetesError]] = {
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
}
_UNAUTHORIZED = 401


class ClusterAccess(kopf.ConnectionInfo):
    """Access that verifies the cluster's CA as client-go does."""

    def as_ssl_context(self) -> ssl.SSLContext:
        """Not strict: Python 3.13 requires extensions that the CAs of many clusters lack."""
        context = super().as_ssl_context()
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context


def login() -> kopf.ConnectionInfo:
    """The service account's access, or the kubeconfig's.

    Raises:
        OperatorError: there is neither.
    """
    settings = kopf.OperatorSettings()
    found = kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(
        settings=settings
    )
    if found is None:
        raise OperatorError(
            "no access to Kubernetes: expected a service account's token in the pod, or a file "
            "that KUBECONFIG names"
        )
    return ClusterAccess(**{field.name: getattr(found, field.name) for field in fields(found)})


def timestamp(at_seconds: float, *, micro: bool = False) -> str:
    """A time since the epoch as Kubernetes writes it.

    Args:
        at_seconds: the time.
        micro: with microseconds, as in a Lease.
    """
    moment = datetime.fromtimestamp(at_seconds, UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="microseconds" if micro else "seconds") + "Z"


class KubernetesApi:
    """The API server. Use it as an async context manager.

    Args:
        login: address and credentials; called again when the server answers 401, because tokens
            expire.
        timeout_seconds: longest wait for an answer.
    """

    def __init__(self, login: Login, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._login = login
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._access = login()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                base_url=self._access.server,
                headers={**self._access.as_http_headers(), "Accept": "application/json"},
                connector=aiohttp.TCPConnector(ssl=self._access.as_ssl_context()),
                proxy=self._access.proxy_url,
                timeout=self._timeout,
            )
        return self._session

    @property
    def namespace(self) -> str | None:
        """The namespace that the login names."""
        return self._access.default_namespace

    async def get(self, path: str, **query: str) -> JsonObject:
        """One object, or a list.

        Raises:
            KubernetesError: refused (see its subclasses), or no answer in time.
        """
        return await self._request("GET", path, query=query)

    async def items(self, path: str, **query: str) -> list[JsonObject]:
        """The objects of a list, from the server's cache: cheap, slightly late. Raises as `get`."""
        answer = await self._request("GET", path, query={"resourceVersion": "0", **query})
        items: list[JsonObject] = answer.get("items") or []
        return items

    async def create(self, path: str, body: JsonObject) -> JsonObject:
        """Create an object. Raises as `get`."""
        return await self._request("POST", path, body)

    async def replace(self, path: str, body: JsonObject) -> JsonObject:
        """Replace an object, if it still has the version in `body`. Raises as `get`."""
        return await self._request("PUT", path, body)

    async def patch(self, path: str, body: JsonObject) -> JsonObject:
        """Change only the fields in `body`. Raises as `get`."""
        return await self._request("PATCH", path, body)

    async def put_at(self, path: str, pointer: str, value: JsonObject) -> JsonObject:
        """Replace one part of an object. Raises as `get`.

        Args:
            path: of the object.
            pointer: of the part, as in `/status`.
            value: the new value; unlike with `patch`, no old field in it stays.
        """
        steps = [{"op": "add", "path": pointer, "value": value}]
        return await self._request("PATCH", path, steps)

    async def _request(
        self,
        method: str,
        path: str,
        body: JsonObject | list[JsonObject] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> JsonObject:
        status, answer = await self._once(method, path, body, query)
        if status == _UNAUTHORIZED:
            await self._close()
            self._access = self._login()
            status, answer = await self._once(method, path, body, query)
        if status >= 400:  # noqa: PLR2004 - HTTP statuses from 400 on are errors
            message = str(answer.get("message") or answer)
            raise _ERRORS.get(status, KubernetesError)(f"{method} {path}", status, message)
        return answer

    async def _once(
        self,
        method: str,
        path: str,
        body: JsonObject | list[JsonObject] | None,
        query: Mapping[str, str] | None,
    ) -> tuple[int, JsonObject]:
        kind = JSON_PATCH if isinstance(body, list) else MERGE_PATCH
        headers = {"Content-Type": kind} if method == "PATCH" else {}
        what = f"{method} {path}"
        try:
            async with self._open().request(
                method, path, json=body, params=query, headers=headers
            ) as response:
                return response.status, _read(await response.text())
        except (TimeoutError, aiohttp.ClientError, OSError, UnicodeDecodeError) as error:
            raise KubernetesError(what, 0, str(error) or type(error).__name__) from error


def _read(text: str) -> JsonObject:
    """An answer as JSON. About an unknown kind the server answers in plain text."""
    try:
        answer = json.loads(text)
    except ValueError:
        return {"message": text.strip()}
    return answer if isinstance(answer, dict) else {"message": text}
