"""The whole desk in the cluster: install, what its ledger says, load, and its page's port."""

import base64
import contextlib
import functools
import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import jwt

from tests.e2e.kube import COMPONENT, Kube, Object, wait_until
from tests.e2e.load import Load

RELEASE = "desk"
ROOT = Path(__file__).resolve().parents[2]
CHART = str(ROOT / "charts" / "streamdesk")
# E2E_VALUES names more files, as for a cluster that has images under other names.
VALUES = [str(Path(__file__).parent / "values.yaml"), *os.environ.get("E2E_VALUES", "").split()]
FILES = [word for file in VALUES for word in ("--values", file)]
TO_THE_END = ("--wait", "--timeout", "10m")
SCRIPTS = Path(__file__).parent / "in_pod"
PYTHON = "/app/bin/python"
SERVICES = (
    "signal-generator",
    "order-executor",
    "news-fetcher",
    "news-filter",
    "analysis",
    "websocket-gateway",
    "operator",
)
WORKLOADS = {"deployment": SERVICES, "statefulset": ("redis", "postgres")}
TOKEN_SECONDS = 3600
# A pod that does nothing until SIGTERM.
IDLE = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit()); signal.pause()"


@dataclass(frozen=True)
class Desk:
    """The release in its namespace."""

    kube: Kube

    @property
    def is_installed(self) -> bool:
        """Whether the release is there."""
        return RELEASE in self.kube.helm("list", "--short").split()

    def install(self) -> float:
        """`helm install`, as the README has it; returns the seconds until all was ready."""
        began = time.monotonic()
        self.kube.helm("install", RELEASE, CHART, *FILES, *TO_THE_END)
        return time.monotonic() - began

    def upgrade(self, *words: str) -> float:
        """`helm upgrade`; returns the seconds until all was ready again."""
        began = time.monotonic()
        self.kube.helm("upgrade", RELEASE, CHART, *FILES, *TO_THE_END, *words)
        return time.monotonic() - began

    def wait_until_up(self) -> None:
        """Wait until every component has all its pods, and they are ready."""
        for kind, components in WORKLOADS.items():
            for component in components:
                is_up = functools.partial(self._is_up, kind, component)
                wait_until(is_up, f"all of {component} ready", self.kube.pod_states)

    def _is_up(self, kind: str, component: str) -> bool:
        found = self.kube.get(kind, f"{RELEASE}-{component}")
        status, wanted = found["status"], found["spec"]["replicas"]
        counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas")]
        seen = int(status.get("observedGeneration", 0))
        return seen >= found["metadata"]["generation"] and counts == [wanted] * 3

    def stand_in(self, component: str) -> str:
        """A pod with a component's image, rights and way through the network, that does nothing.

        Returns its name. The same one for the same component.
        """
        name = f"e2e-{component}"
        if any(pod["metadata"]["name"] == name for pod in self.kube.all_of("pods")):
            return name
        template = self.kube.get("deployment", f"{RELEASE}-{component}")["spec"]["template"]
        spec: Object = template["spec"]
        spec |= {"restartPolicy": "Never", "terminationGracePeriodSeconds": 5}
        (container,) = spec["containers"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe", "lifecycle", "ports"):
            container.pop(probe, None)
        container["command"] = [PYTHON, "-c", IDLE]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": template["metadata"]["labels"]},
            "spec": spec,
        }
        self.kube.run("create", "--filename", "-", stdin=json.dumps(pod))
        self.kube.run("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=120s")
        return name

    def outsider(self, name: str, command: list[str], labels: dict[str, str] | None = None) -> None:
        """A pod outside the release, without permissions, as of another application."""
        spec: Object = self.kube.get("pod", self.stand_in("signal-generator"))["spec"]
        (container,) = spec["containers"]
        kept = {name: container[name] for name in ("image", "securityContext", "resources")}
        own = {"name": "outsider", "imagePullPolicy": "IfNotPresent", "command": command}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": labels or {}},
            "spec": {
                "automountServiceAccountToken": False,
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 5,
                "securityContext": spec["securityContext"],
                "containers": [kept | own],
            },
        }
        self.kube.run("create", "--filename", "-", stdin=json.dumps(pod))
        self.kube.run("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=120s")

    def run_in(self, pod: str, script: str, *arguments: str) -> str:
        """Run one of the scripts of `in_pod/` in a pod; what it prints."""
        source = (SCRIPTS / script).read_text()
        return self.kube.run("exec", pod, "--", PYTHON, "-c", source, *arguments)

    def start_in(self, pod: str, script: str, *arguments: str) -> subprocess.Popen[str]:
        """The same, without waiting; the script ends when its standard input does."""
        source = (SCRIPTS / script).read_text()
        words = ["exec", "--stdin", pod, "--", PYTHON, "-c", source, *arguments]
        return subprocess.Popen(
            ["kubectl", "--namespace", self.kube.namespace, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @contextlib.contextmanager
    def load(self, rate: float, count: int = 1_000_000, letter: str = "E") -> Iterator[Load]:
        """Signals at a steady pace while the block runs; ended with it.

        Args:
            rate: signals a second; 0: as fast as they are taken.
            count: at most so many.
            letter: that their symbols begin with; no feed has them.
        """
        prefix = f"e2e-{uuid.uuid4().hex[:8]}"
        pod = self.stand_in("signal-generator")
        load = Load(prefix, self.start_in(pod, "publish.py", prefix, str(rate), str(count), letter))
        try:
            yield load
        finally:
            load.end()

    def sql(self, query: str) -> list[list[str]]:
        """Rows of the ledger's database."""
        shell = 'exec psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -At -F "|" -c "$0"'
        pod = f"{RELEASE}-postgres-0"
        text = self.kube.run("exec", pod, "-c", "postgres", "--", "sh", "-c", shell, query)
        return [line.split("|") for line in text.splitlines() if line]

    def decided(self, prefix: str) -> set[str]:
        """Ids of the signals that the ledger has a decision about."""
        # `_` stands for any character in LIKE: no id has one.
        query = f"select signal_id from signals where signal_id like '{prefix}-%'"  # noqa: S608 - the test's own prefix
        return {row[0] for row in self.sql(query)}

    def wait_until_decided(self, load: Load) -> float:
        """Wait until the ledger has every signal that was acknowledged; returns the seconds."""
        return wait_until(
            lambda: load.acked <= self.decided(load.prefix),
            "a decision about every acknowledged signal",
            lambda: (
                f"{len(load.acked - self.decided(load.prefix))} missing {self.kube.pod_states()}"
            ),
        )

    def wait_until_books_agree(self) -> None:
        """Check that ledger, fills and the broker's records agree.

        The desk keeps trading, and the two are not read in the same instant. A difference caused by
        that disappears a moment later; a wrong figure does not.
        """
        found: list[str] = []

        def agree() -> bool:
            found[:] = [self.run_in(f"deploy/{RELEASE}-order-executor", "audit.py")]
            return found == [""]

        wait_until(agree, "agreement of ledger and broker", lambda: "".join(found), 60)

    @contextlib.contextmanager
    def gateway(self) -> Iterator[int]:
        """The gateway's port on this machine."""
        with self.kube.forward(f"service/{RELEASE}-websocket-gateway", 8080) as port:
            yield port

    def token(self) -> str:
        """A token for the gateway."""
        secret = self.kube.get("secret", f"{RELEASE}-websocket-gateway-jwt")
        key = base64.b64decode(secret["data"]["secret"]).decode()
        claims = {"sub": "e2e", "exp": int(time.time()) + TOKEN_SECONDS}
        return jwt.encode(claims, key, algorithm="HS256")

    def backlog(self, port: int) -> int:
        """Waiting and pending signals, as the gateway reports them."""
        request = Request(
            f"http://127.0.0.1:{port}/api/lag", headers={"Authorization": f"Bearer {self.token()}"}
        )
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - the desk's own
            groups: list[dict[str, Any]] = json.load(answer)["groups"]
        (signals,) = (one for one in groups if one["group"] == "order-executors")
        return int(signals["waiting"]) + int(signals["pending"])

    def replicas(self, component: str = "order-executor") -> int:
        """How many pods a deployment is to have."""
        return int(self.kube.get("deployment", f"{RELEASE}-{component}")["spec"]["replicas"])

    def left_over(self) -> list[str]:
        """Kind and name of everything in the namespace that the release made."""
        kinds = self.kube.run("api-resources", "--namespaced", "--verbs=list", "--output=name")
        wanted = [kind for kind in kinds.split() if not kind.startswith("events")]
        selector = f"app.kubernetes.io/instance={RELEASE}"
        text = self.kube.run("get", ",".join(wanted), "--selector", selector, "--output=name")
        return sorted(line for line in text.split() if "pod/e2e-" not in line)


def component_of(pod: Object) -> str:
    """The component that a pod belongs to."""
    return str(pod["metadata"]["labels"].get(COMPONENT, ""))
