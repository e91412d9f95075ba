"""What a pool sizes: its scale, its pods, and who else would size it."""

from collections.abc import Iterable
from dataclasses import dataclass

from streamdesk.operator.adapters.kubernetes.api import JsonObject, KubernetesApi
from streamdesk.operator.domain.deletion_cost import ConsumerLoad, changed_costs, deletion_costs
from streamdesk.operator.domain.pool import TargetRef
from streamdesk.operator.errors import ForbiddenError, NotFoundError, PoolError
from streamdesk.runtime import logger

log = logger("operator")

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PLURALS = {"Deployment": "deployments", "StatefulSet": "statefulsets"}


@dataclass(frozen=True, slots=True)
class Pod:
    """One replica.

    Args:
        name: of the pod.
        ready: whether its probes say so.
        cost: what its annotation pod-deletion-cost says; None without.
    """

    name: str
    ready: bool
    cost: int | None


@dataclass(frozen=True, slots=True)
class Scale:
    """The size of a workload.

    Args:
        replicas: asked for.
        selector: of its pods.
        version: of the workload; a change is made only to this one.
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
        """How large it is asked to be.

        Raises:
            PoolError: it is not there, or not ours to see.
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
        """Change the size, unless the workload was changed since it was looked at.

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
        """Its pods that are not on their way out.

        Raises:
            KubernetesError: refused, or no answer.
        """
        if not selector:
            return []
        found = await self._api.items(self._pods, labelSelector=selector)
        return [_pod(pod) for pod in found if "deletionTimestamp" not in pod["metadata"]]

    async def price(self, pods: list[Pod], held: Iterable[ConsumerLoad]) -> None:
        """Let the pods that hold least be the first to go.

        Args:
            pods: of the workload.
            held: what its consumers hold.

        Raises:
            KubernetesError: refused, or no answer.
        """
        costs = deletion_costs([pod.name for pod in pods], held)
        for name, cost in changed_costs(costs, {pod.name: pod.cost for pod in pods}).items():
            annotations = {DELETION_COST: str(cost)}
            try:
                await self._api.patch(
                    f"{self._pods}/{name}", {"metadata": {"annotations": annotations}}
                )
            except NotFoundError:
                log.debug("pod went before it was priced", pod=name)


def _pod(pod: JsonObject) -> Pod:
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = any(row["type"] == "Ready" and row["status"] == "True" for row in conditions)
    cost = (pod["metadata"].get("annotations") or {}).get(DELETION_COST, "")
    is_number = cost.lstrip("-").isdecimal()
    return Pod(pod["metadata"]["name"], ready, int(cost) if is_number else None)


async def other_autoscaler(api: KubernetesApi, namespace: str, target: TargetRef) -> str | None:
    """Who else sizes the workload: kind and name of one of them, None for nobody.

    Args:
        api: the API server.
        namespace: where to look.
        target: the workload.

    Raises:
        KubernetesError: no answer.
    """
    autoscalers = await _listed(
        api, f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
    )
    for autoscaler in autoscalers:
        if _is_target(autoscaler["spec"].get("scaleTargetRef"), target):
            return f"HorizontalPodAutoscaler {autoscaler['metadata']['name']}"
    for scaled in await _listed(
        api, f"/apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects"
    ):
        if _is_target(scaled["spec"].get("scaleTargetRef"), target):
            return f"ScaledObject {scaled['metadata']['name']}"
    return None


async def _listed(api: KubernetesApi, path: str) -> list[JsonObject]:
    try:
        return await api.items(path)
    except (NotFoundError, ForbiddenError):  # no such kind here, or none of our business
        return []


def _is_target(reference: JsonObject | None, target: TargetRef) -> bool:
    """Both kinds of reference: KEDA's has a Deployment for its default."""
    found = reference or {}
    return found.get("name") == target.name and found.get("kind", "Deployment") == target.kind
