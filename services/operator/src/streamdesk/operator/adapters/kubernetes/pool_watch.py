"""kopf's watch over the ExecutorPools: an index of them, and nothing else.

There are no handlers, timers or daemons: kopf would put a finalizer on every resource for them, and
one that is deleted while no operator runs would never go. kopf runs in a thread with a loop of its
own, as it wants the signals and ends every task that it finds.
"""

import asyncio
import logging
import threading
from collections.abc import Mapping
from typing import Any

import kopf

from streamdesk.operator.adapters.kubernetes.api import JsonObject, Login
from streamdesk.operator.errors import OperatorError

GROUP, VERSION, PLURAL = "streamdesk.io", "v1alpha1", "executorpools"
INDEX = "pools"
START_SECONDS = 60.0
STOP_SECONDS = 10.0

PoolKey = tuple[str, str]
"""Namespace and name."""


def pools_path(namespace: str) -> str:
    """Where the pools of a namespace are."""
    return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}"


def key_of(pool: JsonObject) -> PoolKey:
    """How a pool is known."""
    return pool["metadata"]["namespace"], pool["metadata"]["name"]


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """A copy without kopf's views."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


class PoolWatch:
    """The ExecutorPools of a namespace as the API server last told them. Stop it with `stop`.

    Args:
        namespace: whose pools.
        login: gives access to the API server.
    """

    def __init__(self, namespace: str, login: Login) -> None:
        self._namespace = namespace
        self._login = login
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._index: kopf.Index[PoolKey, JsonObject] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)

    async def start(self) -> None:
        """Begin to watch.

        Raises:
            OperatorError: kopf did not start.
        """
        for name in ("kopf", "aiohttp.access"):  # its own start-up chatter; warnings stay
            logging.getLogger(name).setLevel(logging.WARNING)
        # That it may not have the signals, which is how it is meant to be.
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
        self._thread.start()
        started = await asyncio.to_thread(self._ready.wait, START_SECONDS)
        if not started or self._failure is not None:
            raise OperatorError(f"the watch did not start: {self._failure or 'not in time'}")

    @property
    def alive(self) -> bool:
        """Whether kopf runs."""
        return self._thread.is_alive() and self._failure is None

    async def pools(self) -> dict[PoolKey, JsonObject]:
        """A copy of the index.

        Raises:
            OperatorError: kopf has ended.
        """
        if self._loop is None or self._index is None or not self.alive:
            raise OperatorError(f"the watch has ended: {self._failure or 'stopped'}")
        copied = asyncio.run_coroutine_threadsafe(_copy(self._index), self._loop)
        return await asyncio.wrap_future(copied)

    async def stop(self) -> None:
        """End the watch."""
        self._stop.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, STOP_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self._operate())
        except BaseException as error:  # noqa: BLE001 - the tick says it
            self._failure = error
        finally:
            self._ready.set()

    async def _operate(self) -> None:
        self._loop = asyncio.get_running_loop()
        settings = kopf.OperatorSettings()
        settings.posting.enabled = False  # our events have reasons of their own
        settings.scanning.disabled = True  # a role for one namespace may not watch all kinds
        settings.peering.standalone = True
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(lambda **_: self._login())
        kopf.on.startup(registry=registry)(self._keep_index)
        kopf.index(GROUP, VERSION, PLURAL, id=INDEX, registry=registry)(_indexed)
        await kopf.operator(
            registry=registry,
            settings=settings,
            namespaces=[self._namespace],
            standalone=True,
            ready_flag=self._ready,
            stop_flag=self._stop,
        )

    async def _keep_index(self, **given: Any) -> None:  # noqa: ANN401 - as kopf declares it
        """An index is passed by its name."""
        self._index = given[INDEX]


async def _copy(index: "kopf.Index[PoolKey, JsonObject]") -> dict[PoolKey, JsonObject]:
    """Inside kopf's loop, so that nothing changes meanwhile."""
    return {key: body for key in index for body in index[key]}


def _indexed(body: kopf.Body, **_: object) -> dict[PoolKey, JsonObject]:
    pool: JsonObject = _plain(body)
    return {key_of(pool): pool}
