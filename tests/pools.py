"""ExecutorPools on a real cluster: kubectl in a namespace, and operators as processes."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[1]
LONGEST_WAIT_SECONDS = 180  # only ends a test that hangs
TARGET = "desk-order-executor"
STREAM = "{trading:signals}:90"
GROUP = "order-executors"

JsonObject = dict[str, Any]


def wait_until(holds: Callable[[], bool], what: Callable[[], str] | str) -> None:
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"did not happen: {what if isinstance(what, str) else what()}")
        time.sleep(0.3)


class Kube:
    """kubectl in one namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def run(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["kubectl", "-n", self.namespace, *words],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_WAIT_SECONDS,
        )

    def __call__(self, *words: str, stdin: str | None = None) -> str:
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout

    def apply(self, *manifests: JsonObject) -> None:
        self("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def get(self, kind: str, name: str) -> JsonObject:
        found: JsonObject = json.loads(self("get", kind, name, "-o", "json"))
        return found

    def items(self, kind: str, *words: str) -> list[JsonObject]:
        found: list[JsonObject] = json.loads(self("get", kind, *words, "-o", "json"))["items"]
        return found

    def pool(self) -> JsonObject:
        return self.get("executorpool", TARGET)

    def status(self) -> JsonObject:
        return dict(self.pool().get("status") or {})

    def condition(self, kind: str) -> str:
        """Status and reason of a condition, as in `True/Following`."""
        rows = self.status().get("conditions") or []
        found = [f"{row['status']}/{row['reason']}" for row in rows if row["type"] == kind]
        return found[0] if found else ""

    def wait_for_condition(self, kind: str, start: str) -> None:
        wait_until(lambda: self.condition(kind).startswith(start), lambda: str(self.status()))

    def replicas(self) -> int:
        return int(self.get("deployment", TARGET)["spec"]["replicas"])

    def wait_for_replicas(self, wanted: int) -> None:
        wait_until(lambda: self.replicas() == wanted, lambda: str(self.status()))

    def reasons(self) -> list[str]:
        """Reasons of the operator's events about the pool."""
        return [
            row["reason"]
            for row in self.items("events")
            if row["involvedObject"]["kind"] == "ExecutorPool"
        ]

    def holder(self) -> str:
        lease = self.run("get", "lease", "streamdesk-operator", "-o", "json")
        found = json.loads(lease.stdout) if lease.returncode == 0 else {"spec": {}}
        return str(found["spec"].get("holderIdentity") or "")


def deployment(replicas: int = 1) -> JsonObject:
    """A workload that does nothing."""
    container = {
        "name": "idle",
        "image": "redis:8.0-trixie",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "infinity"],
        "resources": {"requests": {"cpu": "1m", "memory": "4Mi"}},
    }
    pod = {
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "containers": [container],
    }
    labels = {"app": TARGET}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": TARGET},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def pool(**spec: Any) -> JsonObject:
    """A pool that follows at once, with ten entries a replica unless it says otherwise."""
    target = {} if "drainSeconds" in spec else {"backlogPerReplica": 10}
    at_once = {"scaleDown": {"stabilizationWindowSeconds": 0}, "reversalSeconds": 0}
    return {
        "apiVersion": "streamdesk.io/v1alpha1",
        "kind": "ExecutorPool",
        "metadata": {"name": TARGET},
        "spec": {
            "targetRef": {"name": TARGET},
            "redis": {"streams": [STREAM], "group": GROUP},
            "maxReplicas": 4,
            "pollSeconds": 1,
            "behavior": at_once,
            **target,
            **spec,
        },
    }


class Operator:
    """An operator of ours: a process on this machine, with the role of the service account."""

    def __init__(self, name: str, access: Path, url: str, log: Path) -> None:
        self.name = name
        self.port = free_port()
        self.log = log
        environment = {
            **os.environ,
            "KUBECONFIG": str(access),
            "REDIS_URL": url,
            "INSTANCE": name,
            "METRICS_HOST": "127.0.0.1",
            "METRICS_PORT": str(self.port),
            "TICK_SECONDS": "0.5",
            "LEASE_SECONDS": "6",
            "LOG_FORMAT": "json",
        }
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streamdesk.operator"],
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def metrics(self) -> str:
        address = f"http://127.0.0.1:{self.port}/metrics"
        with urllib.request.urlopen(address, timeout=30) as page:
            return str(page.read().decode())

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LONGEST_WAIT_SECONDS)

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(LONGEST_WAIT_SECONDS)


def access_of(kube: Kube, folder: Path) -> Path:
    """A kubeconfig with the operator's role and no more."""
    config = yaml.safe_load(kube("config", "view", "--raw", "--minify"))
    token = kube("create", "token", "streamdesk-operator", "--duration", "1h").strip()
    config["users"] = [{"name": "operator", "user": {"token": token}}]
    config["contexts"][0]["context"].update(user="operator", namespace=kube.namespace)
    file = folder / "operator.kubeconfig"
    file.write_text(yaml.safe_dump(config))
    file.chmod(0o600)
    return file
