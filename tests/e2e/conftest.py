"""One desk, installed once on the cluster that KUBECONFIG names, for all tests of this folder.

Only `make e2e` sets STREAMDESK_E2E: a plain run of all tests must not touch a real cluster.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.desk import Desk
from tests.e2e.kube import Kube, command

NAMESPACE = os.environ.get("E2E_NAMESPACE", "streamdesk-e2e")
# While writing tests: leave the desk as it is, and take the one that an earlier run left.
KEEP = bool(os.environ.get("E2E_KEEP"))
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"
# In the order of a desk's lifecycle: the last file removes it.
ORDER = (
    "install",
    "flow",
    "page",
    "analysis",
    "news",
    "scaling",
    "redis",
    "faults",
    "upgrade",
    "monitoring",
    "development",
    "uninstall",
)
Tell = Callable[[str], None]

if not os.environ.get("STREAMDESK_E2E"):
    collect_ignore_glob = ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files in the order of a desk's lifecycle."""
    here = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        if here not in item.path.parents:
            return -1
        words = (name for name in ORDER if item.path.stem.startswith(f"test_{name}"))
        return ORDER.index(next(words, "faults"))

    items.sort(key=place)


@pytest.fixture(scope="session")
def kube() -> Iterator[Kube]:
    """A fresh namespace that enforces the restricted Pod Security standard."""
    for program in ("kubectl", "helm"):
        if shutil.which(program) is None:
            pytest.fail(f"no {program} on the PATH", pytrace=False)
    kube = Kube(NAMESPACE)
    if KEEP and command("kubectl", "get", "namespace", NAMESPACE, "--ignore-not-found"):
        yield kube
        return
    command("kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found", timeout_seconds=300)
    command("kubectl", "create", "namespace", NAMESPACE)
    command("kubectl", "label", "namespace", NAMESPACE, RESTRICTED)
    yield kube
    if not KEEP:
        command("kubectl", "delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="session")
def tell(request: pytest.FixtureRequest) -> Tell:
    """Prints a figure, even if pytest captures output."""
    plugins = request.config.pluginmanager
    terminal, capture = (
        plugins.get_plugin("terminalreporter"),
        plugins.get_plugin("capturemanager"),
    )

    def say(line: str) -> None:
        assert terminal is not None
        assert capture is not None
        with capture.global_and_fixture_disabled():
            terminal.write_line(f"\n    {line}")

    return say


@pytest.fixture(scope="session")
def desk(kube: Kube, tell: Tell) -> Desk:
    """The desk; every pod is ready."""
    desk = Desk(kube)
    if KEEP and desk.is_installed:
        return desk
    seconds = desk.install()
    tell(f"installed and ready in {seconds:.0f} s")
    return desk


@pytest.fixture
def whole(desk: Desk) -> Desk:
    """The desk, with every pod ready again after what the test before did to it."""
    desk.wait_until_up()
    return desk
