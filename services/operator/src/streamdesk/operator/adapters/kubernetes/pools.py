"""The ExecutorPool resources: where they are, and how they are read and written."""

from streamdesk.operator.adapters.kubernetes.api import JsonObject, KubernetesApi

GROUP, VERSION, PLURAL = "streamdesk.io", "v1alpha1", "executorpools"

PoolKey = tuple[str, str]
"""Namespace and name."""


def key_of(pool: JsonObject) -> PoolKey:
    """The key of a pool."""
    return pool["metadata"]["namespace"], pool["metadata"]["name"]


class PoolResources:
    """The ExecutorPools on the API server.

    Args:
        api: the API server.
    """

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    async def get(self, key: PoolKey) -> JsonObject:
        """One pool, with the status as it was last written.

        Raises:
            NotFoundError: it was deleted.
            KubernetesError: refused, or no answer.
        """
        return await self._api.get(_path(*key))

    async def list(self, namespace: str) -> list[JsonObject]:
        """All pools of a namespace.

        Raises:
            KubernetesError: refused, or no answer.
        """
        return await self._api.items(_path(namespace))

    async def write_status(self, pool: JsonObject, status: JsonObject) -> None:
        """Replace a pool's status.

        Raises:
            KubernetesError: refused, or no answer.
        """
        await self._api.put_at(f"{_path(*key_of(pool))}/status", "/status", status)


def _path(namespace: str, name: str = "") -> str:
    path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}"
    return f"{path}/{name}" if name else path
