"""The Redis of a pool's streams: the operator's own, or one that a Secret names."""

import base64
import binascii
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from streamdesk.bus import Bus, BusConfig, BusConfigError, BusObserver
from streamdesk.operator.adapters.kubernetes.api import KubernetesApi
from streamdesk.operator.adapters.streams.backlog import StreamSource
from streamdesk.operator.domain.pool import RedisSource, SecretRef
from streamdesk.operator.errors import ForbiddenError, NotFoundError, PoolError

READ_AGAIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Opened:
    url: str
    bus: Bus
    read_at: float


class StreamSources:
    """The connections to Redis; close them with `close`.

    Args:
        api: the API server, for Secrets.
        own: the operator's own bus.
        config: of that; those of other servers differ in the URL.
        observer: observes the other servers' buses.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        api: KubernetesApi,
        own: Bus,
        config: BusConfig,
        observer: BusObserver | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._own = own
        self._config = config
        self._observer = observer
        self._clock = clock
        self._opened: dict[tuple[str, SecretRef], _Opened] = {}

    async def of(self, namespace: str, redis: RedisSource) -> StreamSource:
        """The streams of a pool.

        Args:
            namespace: the pool's.
            redis: from its spec.

        Raises:
            PoolError: its Secret is unusable.
            KubernetesError: no answer about the Secret.
        """
        secret = redis.secret_ref
        bus = self._own if secret is None else await self._bus_of(namespace, secret)
        return StreamSource(bus, redis.streams, redis.group)

    async def _bus_of(self, namespace: str, secret: SecretRef) -> Bus:
        key = (namespace, secret)
        opened = self._opened.get(key)
        if opened is not None and self._clock() - opened.read_at < READ_AGAIN_SECONDS:
            return opened.bus
        url = await self._url(namespace, secret)
        if opened is None or opened.url != url:
            if opened is not None:
                await opened.bus.__aexit__(None, None, None)
            opened = _Opened(url, self._connect(url, secret), 0.0)
        self._opened[key] = replace(opened, read_at=self._clock())
        return opened.bus

    def _connect(self, url: str, secret: SecretRef) -> Bus:
        try:
            return Bus.connect(replace(self._config, url=url), self._observer)
        except BusConfigError as error:
            message = f"key {secret.key} of Secret {secret.name} is no URL of a server: {error}"
            raise PoolError("InvalidSecret", message) from error

    async def _url(self, namespace: str, secret: SecretRef) -> str:
        where = f"Secret {secret.name}, which spec.redis.secretRef names"
        try:
            found = await self._api.get(f"/api/v1/namespaces/{namespace}/secrets/{secret.name}")
        except NotFoundError:
            raise PoolError("SecretNotFound", f"there is no {where}") from None
        except ForbiddenError:
            message = f"the operator may not read {where}: add it to the role, by resourceNames"
            raise PoolError("SecretForbidden", message) from None
        try:
            return base64.b64decode((found.get("data") or {})[secret.key]).decode().strip()
        except (KeyError, binascii.Error, UnicodeDecodeError):
            message = f"{where}, has no readable key {secret.key!r}"
            raise PoolError("InvalidSecret", message) from None

    async def close(self) -> None:
        """Close all but the operator's own bus."""
        for opened in self._opened.values():
            await opened.bus.__aexit__(None, None, None)
        self._opened.clear()
