"""A namespace of its own on the cluster that KUBECONFIG names, for each test that asks for one."""

import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pools import ROOT, Kube, Operator, access_of
from tests.servers import StreamServer


@pytest.fixture(scope="session")
def definition() -> None:
    """A cluster that knows the resource."""
    if not {"KUBECONFIG", "STREAMDESK_E2E"} <= os.environ.keys() or not shutil.which("kubectl"):
        pytest.skip("needs KUBECONFIG, STREAMDESK_E2E, kubectl: it makes namespaces")
    default = Kube("default")
    default("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "k8s/crds"))
    default("wait", "--for=condition=Established", "crd/executorpools.streamdesk.io")


@pytest.fixture
def kube(definition: None) -> Iterator[Kube]:  # noqa: ARG001 - it must be there
    """An empty namespace with the operator's role."""
    cluster = Kube(f"optest-{secrets.token_hex(3)}")
    cluster("create", "namespace", cluster.namespace)
    try:
        cluster("apply", "-f", str(ROOT / "k8s/samples/operator-rbac.yaml"))
        yield cluster
    finally:
        cluster("delete", "namespace", cluster.namespace, "--wait=false")


@pytest.fixture
def start_operator(
    kube: Kube, redis: StreamServer, tmp_path: Path
) -> Iterator[Callable[..., Operator]]:
    """Starts operators; ends them with the test, and shows what they logged if it failed."""
    access = access_of(kube, tmp_path)
    started: list[Operator] = []

    def start(name: str = "first") -> Operator:
        operator = Operator(name, access, redis.url, tmp_path / f"{name}.log")
        started.append(operator)
        return operator

    yield start
    for operator in started:
        if operator.process.poll() is None:
            operator.stop()
        sys.stdout.write(f"--- {operator.name}\n{operator.log.read_text()}")


@pytest.fixture
def redis(start_server: Callable[..., StreamServer]) -> Iterator[StreamServer]:
    """A server of the test's own."""
    server = start_server()
    yield server
    if server.is_up:
        server.stop()
