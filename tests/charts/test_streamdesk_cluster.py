"""The chart's life on a real cluster, with Helm 3 and Helm 4: `make e2e` runs it.

Redis and PostgreSQL are said to be elsewhere and are not: no pod starts, so that all of it takes
seconds. What pods do is tested in tests/e2e.
"""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import yaml

from tests.charts.streamdesk_chart import CHART, EXTERNAL, RELEASE, SECTIONS, desk
from tests.e2e.kube import Kube, command

pytestmark = pytest.mark.skipif(
    not (os.environ.get("KUBECONFIG") and os.environ.get("STREAMDESK_E2E")),
    reason="needs KUBECONFIG and STREAMDESK_E2E: it makes and deletes namespaces of a cluster",
)
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"
KEPT = "secret/desk-websocket-gateway-jwt"
KINDS = (
    "deployments,services,configmaps,secrets,serviceaccounts,networkpolicies,pods,"
    "poddisruptionbudgets,roles,rolebindings,executorpools"
)


@dataclass(frozen=True)
class Release:
    """One desk, managed by one Helm."""

    kube: Kube
    program: str

    def helm(self, *words: str) -> str:
        """Run this Helm in the namespace."""
        line = (self.program, "--namespace", self.kube.namespace, *words)
        return command(*line, timeout_seconds=300)

    def apply(self, verb: str, **values: object) -> None:
        """`helm install` or `helm upgrade` with these values."""
        words = [verb, RELEASE, str(CHART)]
        for name, value in (EXTERNAL | values).items():
            words += ["--set-json", f"{name.replace('__', '.')}={json.dumps(value)}"]
        self.helm(*words)

    def replicas(self) -> int:
        """What the executors' Deployment is to have."""
        return int(self.kube.get("deployment", "desk-order-executor")["spec"]["replicas"])

    def cash(self) -> str | None:
        """A setting of the executors."""
        data: dict[str, str] = self.kube.get("configmap", "desk-order-executor")["data"]
        return data.get("INITIAL_CASH")

    def key(self) -> str:
        """What the gateway's tokens are signed with."""
        return str(self.kube.get("secret", "desk-websocket-gateway-jwt")["data"]["secret"])


@pytest.fixture(params=["helm", "helm3"])
def release(request: pytest.FixtureRequest) -> Iterator[Release]:
    """A namespace that enforces the restricted standard, and what installs there."""
    program = str(request.param)
    if shutil.which(program) is None:
        pytest.skip(f"no {program} on the PATH")
    namespace = f"streamdesk-chart-{program}-{uuid.uuid4().hex[:8]}"
    command("kubectl", "create", "namespace", namespace)
    command("kubectl", "label", "namespace", namespace, RESTRICTED)
    yield Release(Kube(namespace), program)
    command("kubectl", "delete", "namespace", namespace, "--wait=false")


def test_a_manually_set_size_and_the_key_survive_upgrade_and_rollback(release: Release) -> None:
    release.apply("install", executorPool__enabled=False)
    key = release.key()
    release.kube.run("scale", "deployment", "desk-order-executor", "--replicas=3")

    release.apply("upgrade", orderExecutor__settings={"INITIAL_CASH": 5_000_000})
    assert (release.replicas(), release.cash(), release.key()) == (3, "5000000", key)

    release.kube.run("scale", "deployment", "desk-order-executor", "--replicas=0")
    release.helm("rollback", RELEASE, "1")
    assert (release.replicas(), release.cash(), release.key()) == (0, None, key)

    release.helm("uninstall", RELEASE)
    left = release.kube.run(
        "get", KINDS, "--selector", f"app.kubernetes.io/instance={RELEASE}", "--output", "name"
    )
    deleted = [line for line in left.split() if not line.startswith("pod/")]  # these end by and by
    assert deleted == [KEPT]

    release.apply("install")
    assert (release.replicas(), release.key()) == (1, key)


@pytest.mark.parametrize("release", ["helm"], indirect=True)
def test_the_server_takes_every_object_of_the_defaults(release: Release) -> None:
    nothing: dict[str, object] = {f"{section}__enabled": False for section in SECTIONS.values()}
    release.apply("install", **nothing)  # but the definition of ExecutorPool
    objects = [item for item in desk() if item["kind"] != "Pod"]
    for item in objects:
        item["metadata"].pop("namespace", None)
    text = yaml.safe_dump_all(objects)
    words = ("apply", "--dry-run=server", "--validate=strict", "--filename", "-")
    output = release.kube.run(*words, stdin=text)
    assert len(output.splitlines()) == len(objects)
