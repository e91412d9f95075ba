"""The services' images, built once for the tests of this folder."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.images import ROOT

TAG = "tests"
BUILD_SECONDS = 900  # guards against a build that hangs; one from nothing takes about 60 s


@pytest.fixture(scope="session")
def docker() -> str:
    """A Docker client whose daemon answers."""
    if "DOCKER_HOST" not in os.environ:
        pytest.skip("DOCKER_HOST is not set: images are built where it names a daemon")
    client = shutil.which("docker")
    if client is None:
        pytest.skip("no docker on the PATH")
    asked = subprocess.run([client, "version"], capture_output=True, check=False, timeout=60)
    if asked.returncode:
        pytest.skip(f"no Docker daemon answers at {os.environ['DOCKER_HOST']}")
    return client


@pytest.fixture(scope="session")
def built(docker: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tag of all images, built by what `make images` calls."""
    command = [sys.executable, "-m", "tools.images", f"--docker={docker}", f"--tag={TAG}"]
    # Workers of one run share the parent: the first builds, the others find it built.
    with (tmp_path_factory.getbasetemp().parent / "images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return TAG


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A copy of what a build reads, to be changed."""
    for name in ("libs", "services", "requirements"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "tests")
        )
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools/image_files.py", tmp_path / "tools")
    shutil.copy(ROOT / ".dockerignore", tmp_path)
    return tmp_path
