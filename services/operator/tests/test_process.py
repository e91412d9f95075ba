"""The process itself, where there is no cluster."""

import os
import subprocess
import sys
from pathlib import Path


def run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    known = {"KUBECONFIG", "KUBERNETES_SERVICE_HOST", "REDIS_URL"}
    environment = {name: value for name, value in os.environ.items() if name not in known}
    environment |= {"HOME": str(folder), "METRICS_PORT": "0", **variables}
    return subprocess.run(
        [sys.executable, "-m", "streamdesk.operator", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_without_access_to_a_cluster_it_says_what_it_expects_and_ends(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 2
    assert "KUBECONFIG" in done.stderr
    assert "service account" in done.stderr


def test_its_help_names_its_settings(tmp_path: Path) -> None:
    done = run(tmp_path, "--help")
    assert done.returncode == 0
    for name in ("WATCH_NAMESPACE", "LEASE_NAME", "LEASE_SECONDS", "TICK_SECONDS", "POD_NAME"):
        assert name in done.stdout


def test_a_lease_too_short_to_be_kept_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, LEASE_SECONDS="1")
    assert done.returncode == 2
    assert "LEASE_SECONDS" in done.stderr
