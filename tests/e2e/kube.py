"""kubectl and helm, against whatever cluster KUBECONFIG names."""

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
COMPONENT = "app.kubernetes.io/component"
# These only end a wait that would never end: nothing here is about speed.
COMMAND_SECONDS = 120
LONGEST_WAIT_SECONDS = 300
POLL_SECONDS = 0.5


def wait_until(
    holds: Callable[[], object],
    what: str,
    details: Callable[[], str] = str,
    longest_seconds: float = LONGEST_WAIT_SECONDS,
) -> float:
    """Poll until something holds.

    Args:
        holds: what to wait for; true means it does.
        what: for the failure, "… did not happen".
        details: more text for the failure.
        longest_seconds: when to give up.

    Returns:
        The seconds it took.
    """
    began = time.monotonic()
    while not holds():
        waited = time.monotonic() - began
        assert waited < longest_seconds, f"{what} did not happen in {waited:.0f} s {details()}"
        time.sleep(POLL_SECONDS)
    return time.monotonic() - began


def command(*words: str, stdin: str = "", timeout_seconds: float = COMMAND_SECONDS) -> str:
    """Run a program; what it prints.

    Raises:
        AssertionError: it failed; with what it said.
    """
    done = subprocess.run(
        words, input=stdin, capture_output=True, text=True, timeout=timeout_seconds, check=False
    )
    shown = " ".join(words)[:300]
    assert done.returncode == 0, f"`{shown}` ended with {done.returncode}: {done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Kube:
    """One namespace of the cluster."""

    namespace: str

    def run(self, *words: str, stdin: str = "", timeout_seconds: float = COMMAND_SECONDS) -> str:
        """`kubectl` in the namespace."""
        line = ("kubectl", "--namespace", self.namespace, *words)
        return command(*line, stdin=stdin, timeout_seconds=timeout_seconds)

    def helm(self, *words: str, timeout_seconds: float = 900) -> str:
        """`helm` in the namespace."""
        return command(
            "helm", "--namespace", self.namespace, *words, timeout_seconds=timeout_seconds
        )

    def get(self, kind: str, name: str) -> Object:
        """One object."""
        found: Object = json.loads(self.run("get", kind, name, "--output", "json"))
        return found

    def all_of(self, kind: str, *words: str) -> list[Object]:
        """Objects of a kind."""
        found: list[Object] = json.loads(self.run("get", kind, *words, "--output", "json"))["items"]
        return found

    def pods(self, component: str) -> list[Object]:
        """A component's pods that are meant to stay."""
        found = self.all_of("pods", "--selector", f"{COMPONENT}={component}")
        return [
            pod
            for pod in found
            if "deletionTimestamp" not in pod["metadata"] and is_template_pod(pod)
        ]

    def ready_pods(self, component: str) -> list[str]:
        """Names of a component's pods that are ready."""
        return [pod["metadata"]["name"] for pod in self.pods(component) if is_ready(pod)]

    def wait_ready(self, component: str, count: int = 1) -> float:
        """Wait until just so many pods of a component are there, and ready."""
        return wait_until(
            lambda: len(self.ready_pods(component)) == len(self.pods(component)) == count,
            f"{count} ready {component}",
            self.pod_states,
        )

    def pod_states(self) -> str:
        """The state of all pods, for a failure."""
        return "\n" + self.run("get", "pods", "--output", "wide")

    def kill(self, pod: str) -> None:
        """End a pod at once, as if its node had died: SIGKILL, no drain."""
        self.run("delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")

    @contextlib.contextmanager
    def forward(self, target: str, port: int) -> Iterator[int]:
        """A local port that leads to a port in the cluster."""
        words = ("port-forward", "--address", "127.0.0.1", target, f":{port}")
        with subprocess.Popen(
            ["kubectl", "--namespace", self.namespace, *words], stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                found = re.search(r"127\.0\.0\.1:(\d+)", line)
                assert found, f"kubectl {' '.join(words)} said {line!r}"
                yield int(found[1])
            finally:
                process.terminate()


def is_ready(pod: Object) -> bool:
    """Whether a pod counts as ready."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def is_template_pod(pod: Object) -> bool:
    """Whether a controller made it: neither a test's own pod nor `helm test`'s."""
    return bool(pod["metadata"].get("ownerReferences"))
