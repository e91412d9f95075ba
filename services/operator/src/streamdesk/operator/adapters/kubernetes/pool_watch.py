"""kopf's watch over the ExecutorPools: an index of them, and nothing else.

There are no kopf handlers, timers or daemons: for them kopf puts a finalizer on every resource, and
a pool that is deleted while no operator runs would stay. So the watch is an adapter that the rounds
read, not an entrypoint. kopf runs in a thread with an event loop of its own, because it installs
signal handlers and cancels all tasks of its loop.
"""

import asyncio
import logging
import threading
from collections.abc import Mapping
from typing import Any

import kopf

from streamdesk.operator.adapters.kubernetes.api import JsonObject, Login
from streamdesk.operator.adapters.kubernetes.pools import (
    GROUP,
    PLURAL,
    VERSION,
    PoolKey,
    key_of,
)
from streamdesk.operator.errors import OperatorError

INDEX = "pools"
START_SECONDS = 60.0
STOP_SECONDS = 10.0


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """A copy without kopf's views."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


class PoolWatch:
    """The ExecutorPools of a namespace as the API server last reported them. End it with `stop`.

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
        """Start to watch.

        Raises:
            OperatorError: kopf did not start.
        """
        for name in ("kopf", "aiohttp.access"):  # only its messages at start; warnings stay
            logging.getLogger(name).setLevel(logging.WARNING)
        # It warns that it runs outside the main thread and gets no signals: that is intended.
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
        except BaseException as error:  # noqa: BLE001 - `pools` raises it in the next round
            self._failure = error
        finally:
            self._ready.set()

    async def _operate(self) -> None:
        self._loop = asyncio.get_running_loop()
        settings = kopf.OperatorSettings()
        settings.posting.enabled = False  # the operator posts its own events
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
    """Copy inside kopf's loop, where the index does not change meanwhile."""
    return {key: body for key in index for body in index[key]}


def _indexed(body: kopf.Body, **_: object) -> dict[PoolKey, JsonObject]:
    pool: JsonObject = _plain(body)
    return {key_of(pool): pool}
