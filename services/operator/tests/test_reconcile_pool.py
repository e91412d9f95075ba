"""One look at one pool, with an API server in memory that answers badly where a test says so."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import kmock
import kopf
import pytest
import yaml

from streamdesk.bus import Bus, BusConfig
from streamdesk.operator.adapters.kubernetes.api import KubernetesApi, login
from streamdesk.operator.adapters.kubernetes.events import EventPoster
from streamdesk.operator.adapters.kubernetes.pools import PoolResources
from streamdesk.operator.adapters.kubernetes.workload import Workloads
from streamdesk.operator.adapters.streams.sources import StreamSources
from streamdesk.operator.application.reconcile_pool import PoolReconciler
from streamdesk.operator.errors import KubernetesError, NotFoundError

POOL = "/apis/streamdesk.io/v1alpha1/namespaces/desk/executorpools/executors"
SCALE = "/apis/apps/v1/namespaces/desk/deployments/executors/scale"
PODS = "/api/v1/namespaces/desk/pods"
EVENTS = "/api/v1/namespaces/desk/events"

pytestmark = pytest.mark.kmock(cls=kmock.RawHandler)


class Desk:
    """A reconciler of pools, whose lease can be lost."""

    def __init__(self, api: KubernetesApi, bus: Bus, config: BusConfig) -> None:
        self.may_act = True
        self.reconciler = PoolReconciler(
            PoolResources(api),
            Workloads(api),
            StreamSources(api, bus, config),
            EventPoster(api, "test"),
            lambda: self.may_act,
            wall=lambda: 1_000_000.0,
        )

    async def look(self) -> None:
        await self.reconciler.reconcile(pool())


def pool(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "streamdesk.io/v1alpha1",
        "kind": "ExecutorPool",
        "metadata": {"name": "executors", "namespace": "desk", "uid": "u", "generation": 3},
        "spec": {
            "targetRef": {"name": "executors"},
            "redis": {"streams": ["jobs"], "group": "g"},
            "minReplicas": 2,
            "backlogPerReplica": 10,
            **spec,
        },
    }


def world(kmock: kmock.RawHandler, replicas: int = 1, **spec: Any) -> None:
    """A pool that wants two replicas of a workload that has so many."""
    kmock[f"get {POOL}"] << pool(**spec)
    kmock[f"get {SCALE}"] << {
        "metadata": {"resourceVersion": "77"},
        "spec": {"replicas": replicas},
        "status": {"selector": "app=executors"},
    }
    kmock[f"get {PODS}"] << {"items": []}
    kmock["get /apis/autoscaling/v2/namespaces/desk/horizontalpodautoscalers"] << {"items": []}
    kmock["get /apis/keda.sh/v1alpha1/namespaces/desk/scaledobjects"] << 404 << b"page not found"
    kmock[f"patch {POOL}/status"] << {}
    kmock[f"post {EVENTS}"] << {}


@pytest.fixture
async def desk(kmock: kmock.RawHandler) -> AsyncIterator[Desk]:
    access = kopf.ConnectionInfo(server=str(kmock.url).rstrip("/"))
    config = BusConfig(url="memory://looks", service="operator", instance="t")
    async with KubernetesApi(lambda: access) as api, Bus.connect(config) as bus:
        yield Desk(api, bus, config)


def written(kmock: kmock.RawHandler, method: str, path: str) -> list[Any]:
    return [
        request.data
        for request in kmock
        if request.method.value.lower() == method and request.url.path == path
    ]


def ready(kmock: kmock.RawHandler) -> list[str]:
    """What Ready was said to be, look by look."""
    statuses = [body[0]["value"] for body in written(kmock, "patch", f"{POOL}/status")]
    rows = [row for status in statuses for row in status["conditions"] if row["type"] == "Ready"]
    return [f"{row['status']}/{row['reason']}" for row in rows]


async def test_a_size_is_noted_before_it_is_changed_and_only_if_no_other_client_was_faster(
    kmock: kmock.RawHandler, desk: Desk
) -> None:
    world(kmock)
    kmock[f"patch {SCALE}"] << {}
    await desk.look()
    order = [request.url.path for request in kmock if request.method.value.lower() == "patch"]
    assert order == [f"{POOL}/status", SCALE]
    (body,) = written(kmock, "patch", SCALE)
    assert body == {"metadata": {"resourceVersion": "77"}, "spec": {"replicas": 2}}
    (noted,) = written(kmock, "patch", f"{POOL}/status")
    assert noted[0]["value"]["history"]["targetReplicas"] == 2
    assert noted[0]["value"]["observedGeneration"] == 3


async def test_without_the_lease_nothing_is_written(kmock: kmock.RawHandler, desk: Desk) -> None:
    world(kmock)
    desk.may_act = False
    await desk.look()
    assert {request.method.value.lower() for request in kmock} == {"get"}


async def test_a_status_that_cannot_be_noted_leaves_the_workload_alone(
    kmock: kmock.RawHandler, desk: Desk
) -> None:
    world(kmock)
    kmock[f"patch {POOL}/status"] ** 10 << 500 << {"message": "no"}
    with pytest.raises(KubernetesError):
        await desk.look()
    assert not written(kmock, "patch", SCALE)


async def test_a_workload_that_changed_meanwhile_is_looked_at_again(
    kmock: kmock.RawHandler, desk: Desk
) -> None:
    world(kmock)
    kmock[f"patch {SCALE}"] << 409 << {"message": "changed"}
    await desk.look()
    await desk.look()
    assert len(written(kmock, "patch", SCALE)) == 2
    assert ready(kmock) == ["True/Following"] * 2


async def test_a_role_without_the_workloads_scale_is_said_to_the_owner(
    kmock: kmock.RawHandler, desk: Desk
) -> None:
    world(kmock)
    kmock[f"patch {SCALE}"] << 403 << {"message": "not allowed"}
    for _ in range(3):
        await desk.look()
    assert ready(kmock) == ["True/Following", *["False/TargetForbidden"] * 3]
    (body,) = written(kmock, "patch", f"{POOL}/status")[1]
    assert body["value"]["history"]["targetReplicas"] == 2
    reasons = [event["reason"] for event in written(kmock, "post", EVENTS)]
    assert "TargetForbidden" in reasons
    assert "ScaledUp" not in reasons


async def test_a_spec_that_cannot_be_read_is_said_to_the_owner(
    kmock: kmock.RawHandler, desk: Desk
) -> None:
    world(kmock, minReplicas=20)
    await desk.look()
    assert ready(kmock) == ["False/InvalidSpec"]


async def test_events_that_cannot_be_posted_stop_nothing(
    kmock: kmock.RawHandler, desk: Desk
) -> None:
    world(kmock)
    kmock[f"patch {SCALE}"] << {}
    kmock[f"post {EVENTS}"] ** 10 << 500 << {"message": "no"}
    await desk.look()
    assert written(kmock, "patch", SCALE)


async def test_a_pool_that_is_gone_is_no_error_of_the_look(
    kmock: kmock.RawHandler, desk: Desk
) -> None:
    kmock[f"get {POOL}"] << 404 << {"message": "gone"}
    with pytest.raises(NotFoundError):
        await desk.look()


async def test_a_token_that_ran_out_is_read_again(kmock: kmock.RawHandler) -> None:
    kmock["get /version"][:1] << 401 << {}
    kmock["get /version"][1:] << {"major": "1"}
    asked: list[int] = []

    def login() -> kopf.ConnectionInfo:
        asked.append(len(asked))
        return kopf.ConnectionInfo(server=str(kmock.url).rstrip("/"), token=f"t{len(asked)}")

    async with KubernetesApi(login) as api:
        assert await api.get("/version") == {"major": "1"}
    tokens = [request.headers["Authorization"] for request in kmock]
    assert tokens == ["Bearer t1", "Bearer t2"]


def test_an_authority_without_the_extensions_that_python_wants_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "desk"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://cluster.example"}}],
        "users": [{"name": "u", "user": {"token": "placeholder"}}],
    }
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(file))
    access = login()
    assert (access.server, access.default_namespace) == ("https://cluster.example", "desk")
    context = access.as_ssl_context()
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode is ssl.CERT_REQUIRED
