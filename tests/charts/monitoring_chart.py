"""The chart `monitoring` as a subchart of the desk: rendered, and its Prometheus started."""

import contextlib
import functools
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml

from tests.charts.redis_sentinel_chart import Object, one, run_helm
from tests.charts.streamdesk_chart import CHART, RELEASE

MONITORING = CHART / "charts" / "monitoring"
NAMESPACE = "trading"
STACK = {f"monitoring.{name}.enabled": True for name in ("prometheus", "alertmanager", "grafana")}
WATCHED = STACK | {
    "monitoring.alertmanager.relay.existingSecret": "dingtalk",
    "monitoring.prometheus.persistence": {"enabled": True, "storageClassName": "fast"},
}
BOTH = [
    word
    for kind in ("PodMonitor", "PrometheusRule")
    for word in ("--api-versions", f"monitoring.coreos.com/v1/{kind}")
]
LONGEST_WAIT_SECONDS = 120  # only ends a wait that hangs


def watched(
    values: Mapping[str, Any] | None = None, *words: str, chart: Path = CHART
) -> list[Object]:
    """All objects of the desk with these values; `words` are further ones for helm."""
    line = ["template", RELEASE, str(chart), "--namespace", NAMESPACE, *words]
    for name, value in (values or {}).items():
        line += ["--set-json", f"{name}={json.dumps(value)}"]
    return [item for item in yaml.load_all(_rendered(*line), yaml.CSafeLoader) if item]


@functools.cache
def _rendered(*line: str) -> str:
    done = run_helm(*line)
    assert done.returncode == 0, done.stderr
    return done.stdout


def configuration(objects: list[Object], name: str) -> dict[str, Any]:
    """The configuration of prometheus or alertmanager."""
    data = one(objects, "ConfigMap", f"{RELEASE}-{name}")["data"]
    found: dict[str, Any] = yaml.safe_load(data[f"{name}.yml"])
    return found


def check(*words: str) -> str:
    """Run a checker, which must find nothing wrong; what it says."""
    program = shutil.which(words[0])
    if program is None:
        pytest.skip(f"no {words[0]} on the PATH")
    done = subprocess.run([program, *words[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pods(objects: list[Object]) -> Iterator[dict[str, str]]:
    """A target for each port of each workload's pod, as the discovery of pods finds it."""
    for item in objects:
        if item["kind"] not in ("Deployment", "StatefulSet"):
            continue
        template = item["spec"]["template"]
        meta = {
            "__address__": "127.0.0.1:1",
            "__meta_kubernetes_namespace": NAMESPACE,
            "__meta_kubernetes_pod_name": item["metadata"]["name"],
            "__meta_kubernetes_pod_phase": "Running",
        }
        for part in ("label", "annotation"):
            for name, value in template["metadata"].get(f"{part}s", {}).items():
                plain = "".join(letter if letter.isalnum() else "_" for letter in name)
                meta[f"__meta_kubernetes_pod_{part}_{plain}"] = value
        for container in template["spec"]["containers"]:
            for port in container["ports"]:
                yield meta | {"__meta_kubernetes_pod_container_port_name": port["name"]}


def without_discovery(objects: list[Object]) -> dict[str, Any]:
    """The configuration of Prometheus with the chart's pods named to it, instead of looked for.

    Debian 12's Prometheus knows no discovery in Kubernetes.
    """
    found = [{"targets": [pod.pop("__address__")], "labels": pod} for pod in pods(objects)]
    config = configuration(objects, "prometheus")
    for job in config["scrape_configs"]:
        [discovery] = job.pop("kubernetes_sd_configs")
        assert discovery["role"] == "pod"
        job["static_configs"] = found
    return config


def targets_of(objects: list[Object], folder: Path) -> list[dict[str, Any]]:
    """The targets that a real Prometheus finds for the chart's pods, which do not run."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no prometheus on the PATH")
    config = without_discovery(objects) | {"rule_files": [], "alerting": {}}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    words = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, *words, f"--web.listen-address={address}"], stdout=log, stderr=log
        )
    try:
        return _targets(address, len(config["scrape_configs"]), folder / "log")
    finally:
        process.terminate()
        process.wait()


def _targets(address: str, jobs: int, log: Path) -> list[dict[str, Any]]:
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(OSError),
            urlopen(f"http://{address}/api/v1/targets?state=active", timeout=30) as answer,
        ):
            found: list[dict[str, Any]] = json.load(answer)["data"]["activeTargets"]
            if len({item["scrapePool"] for item in found}) == jobs:
                return found
        time.sleep(0.1)
    pytest.fail(f"Prometheus shows no targets: {log.read_text()}")
