"""The workload of a pool: its scale, its pods, and other autoscalers of it."""

from collections.abc import Iterable
from dataclasses import dataclass

from streamdesk.operator.adapters.kubernetes.api import JsonObject, KubernetesApi
from streamdesk.operator.domain.deletion_cost import ConsumerLoad, changed_costs, deletion_costs
from streamdesk.operator.domain.pool import TargetRef
from streamdesk.operator.errors import ForbiddenError, NotFoundError, PoolError
from streamdesk.runtime import logger

log = logger(__name__)

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PLURALS = {"Deployment": "deployments", "StatefulSet": "statefulsets"}


@dataclass(frozen=True, slots=True)
class Pod:
    """One replica.

    Args:
        name: of the pod.
        ready: whether its probes succeed.
        cost: its annotation pod-deletion-cost; None without.
    """

    name: str
    ready: bool
    cost: int | None


@dataclass(frozen=True, slots=True)
class Scale:
    """The size of a workload.

    Args:
        replicas: in its spec.
        selector: of its pods.
        version: of the workload; only this one is changed.
    """

    replicas: int
    selector: str
    version: str


class Workload:
    """A Deployment or StatefulSet of the pool's namespace.

    Args:
        api: the API server.
        namespace: where it is.
        target: which.
    """

    def __init__(self, api: KubernetesApi, namespace: str, target: TargetRef) -> None:
        plural = _PLURALS.get(target.kind)
        if plural is None or target.api_version != "apps/v1":
            kinds = " or ".join(_PLURALS)
            raise PoolError(
                "InvalidTarget",
                f"targetRef is {target.api_version} {target.kind}; expected apps/v1 {kinds}",
            )
        self._api = api
        self._namespace = namespace
        self._target = target
        self._scale = f"/apis/apps/v1/namespaces/{namespace}/{plural}/{target.name}/scale"
        self._pods = f"/api/v1/namespaces/{namespace}/pods"

    async def scale(self) -> Scale:
        """Its scale.

        Raises:
            PoolError: it does not exist, or the role does not allow to read it.
            KubernetesError: no answer.
        """
        what = f"{self._target.kind} {self._target.name}"
        try:
            scale = await self._api.get(self._scale)
        except NotFoundError:
            raise PoolError("TargetNotFound", f"there is no {what} in this namespace") from None
        except ForbiddenError as error:
            raise PoolError(
                "TargetForbidden", f"the operator's role lacks the scale of {what}: {error}"
            ) from error
        replicas = (scale.get("spec") or {}).get("replicas") or 0
        selector = (scale.get("status") or {}).get("selector") or ""
        return Scale(replicas, selector, scale["metadata"]["resourceVersion"])

    async def resize(self, found: Scale, replicas: int) -> None:
        """Change the size, unless the workload was changed since `found` was read.

        Raises:
            ConflictError: it was.
            KubernetesError: refused, or no answer: it may or may not have been changed.
        """
        body = {
            "metadata": {"resourceVersion": found.version},
            "spec": {"replicas": replicas},
        }
        await self._api.patch(self._scale, body)

    async def pods(self, selector: str) -> list[Pod]:
        """Its pods, without those that are being deleted.

        Raises:
            KubernetesError: refused, or no answer.
        """
        if not selector:
            return []
        found = await self._api.items(self._pods, labelSelector=selector)
        return [_pod(pod) for pod in found if "deletionTimestamp" not in pod["metadata"]]

    async def annotate_costs(self, pods: list[Pod], loads: Iterable[ConsumerLoad]) -> None:
        """Annotate the pods so that those which hold least are deleted first.

        Args:
            pods: of the workload.
            loads: of its consumers.

        Raises:
            KubernetesError: refused, or no answer.
        """
        costs = deletion_costs([pod.name for pod in pods], loads)
        for name, cost in changed_costs(costs, {pod.name: pod.cost for pod in pods}).items():
            annotations = {DELETION_COST: str(cost)}
            try:
                await self._api.patch(
                    f"{self._pods}/{name}", {"metadata": {"annotations": annotations}}
                )
            except NotFoundError:
                log.debug("pod was deleted before it was annotated", pod=name)


def _pod(pod: JsonObject) -> Pod:
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = any(row["type"] == "Ready" and row["status"] == "True" for row in conditions)
    cost = (pod["metadata"].get("annotations") or {}).get(DELETION_COST, "")
    is_number = cost.lstrip("-").isdecimal()
    return Pod(pod["metadata"]["name"], ready, int(cost) if is_number else None)


class Workloads:
    """The workloads of pools.

    Args:
        api: the API server.
    """

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    def of(self, namespace: str, target: TargetRef) -> Workload:
        """A workload.

        Raises:
            PoolError: it is of a kind that cannot be scaled.
        """
        return Workload(self._api, namespace, target)

    async def other_autoscaler(self, namespace: str, target: TargetRef) -> str | None:
        """Kind and name of another autoscaler of a workload; None if there is none.

        Args:
            namespace: of the workload.
            target: the workload.

        Raises:
            KubernetesError: no answer.
        """
        hpas = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
        for autoscaler in await self._listed(hpas):
            if _is_target(autoscaler["spec"].get("scaleTargetRef"), target):
                return f"HorizontalPodAutoscaler {autoscaler['metadata']['name']}"
        scaled_objects = f"/apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects"
        for scaled in await self._listed(scaled_objects):
            if _is_target(scaled["spec"].get("scaleTargetRef"), target):
                return f"ScaledObject {scaled['metadata']['name']}"
        return None

    async def _listed(self, path: str) -> list[JsonObject]:
        try:
            return await self._api.items(path)
        except (NotFoundError, ForbiddenError):  # the kind is not installed, or not permitted
            return []


def _is_target(reference: JsonObject | None, target: TargetRef) -> bool:
    """Whether a reference names this workload; the kind of KEDA's defaults to Deployment."""
    found = reference or {}
    return found.get("name") == target.name and found.get("kind", "Deployment") == target.kind
