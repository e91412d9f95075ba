"""The developer's loop on the cluster: what `skaffold dev` does after a save, done by kubectl."""

import io
import json
import subprocess
import tarfile
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.dev.skaffold import ROOT, destination, load
from tests.e2e.desk import Desk
from tests.e2e.kube import wait_until

Tell = Callable[[str], None]
DEV_VALUES = str(ROOT / "k8s" / "dev-values.yaml")


@pytest.fixture(scope="module")
def dev_desk(desk: Desk) -> Desk:
    """The desk with the values that the profile `dev` adds."""
    desk.upgrade("--values", DEV_VALUES)
    desk.wait_until_up()
    return desk


def sync(desk: Desk, pod: str, service: str, path: str, source: str) -> None:
    """Skaffold's file sync: the changed file as a tar archive, unpacked in the container."""
    artifacts = {one["image"]: one for one in load()["build"]["artifacts"]}
    goal = destination(artifacts[f"streamdesk/{service}"], path)
    assert goal is not None
    content, archive = source.encode(), io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo(goal.lstrip("/"))
        entry.size, entry.mode = len(content), 0o644
        tar.addfile(entry, io.BytesIO(content))
    unpack = ("tar", "xmf", "-", "-C", "/", "--no-same-owner")
    words = ["--namespace", desk.kube.namespace, "exec", pod, "-c", service, "-i", "--", *unpack]
    done = subprocess.run(
        ["kubectl", *words], input=archive.getvalue(), capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def lines_since(desk: Desk, pod: str, word: str) -> list[dict[str, Any]]:
    """What a pod logged since it printed a word."""
    _, _, rest = desk.kube.run("logs", pod).partition(word)
    return [json.loads(line) for line in rest.splitlines() if line.startswith("{")]


def test_a_saved_source_runs_in_the_pod_without_an_image_or_a_new_pod(
    dev_desk: Desk, tell: Tell
) -> None:
    (pod,) = dev_desk.kube.ready_pods("news-fetcher")
    path = "services/news-fetcher/src/streamdesk/news_fetcher/__init__.py"
    source = (ROOT / path).read_text()
    word = f"saved-{uuid.uuid4().hex[:8]}"

    sync(dev_desk, pod, "news-fetcher", path, f"{source}\ndef broken(:\n")
    wait_until(lambda: "SyntaxError" in dev_desk.kube.run("logs", pod), "the error in the log")
    began = time.monotonic()
    sync(dev_desk, pod, "news-fetcher", path, f"{source}\nprint('{word}', flush=True)\n")
    wait_until(
        lambda: any(line["event"] == "started" for line in lines_since(dev_desk, pod, word)),
        "the service running with what was saved",
        lambda: dev_desk.kube.run("logs", pod, "--tail=20"),
    )
    tell(f"save -> reloaded: {time.monotonic() - began:.1f} s")
    status = dev_desk.kube.get("pod", pod)["status"]["containerStatuses"][0]
    assert status["restartCount"] == 0
    dev_desk.kube.wait_ready("news-fetcher")


def test_what_is_synced_does_not_make_the_root_writable(dev_desk: Desk) -> None:
    (pod,) = dev_desk.kube.ready_pods("news-fetcher")
    with pytest.raises(AssertionError, match="Read-only file system"):
        dev_desk.kube.run("exec", pod, "--", "touch", "/a-file-in-the-root")
