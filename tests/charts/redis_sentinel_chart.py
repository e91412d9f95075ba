"""The chart of Redis, rendered, and a server with the users that it makes."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers import StreamServer

CHART = Path(__file__).parents[2] / "charts/streamdesk/charts/redis-sentinel"
RELEASE = "desk"
USER_FILE = "user."
Object = dict[str, Any]


def run_helm(*words: str) -> subprocess.CompletedProcess[str]:
    """Run helm; skips the test where there is none."""
    helm = shutil.which("helm") or pytest.skip("no helm on the PATH")
    return subprocess.run([helm, *words], capture_output=True, text=True, check=False)


def render(chart: Path = CHART, values: Mapping[str, Any] | None = None) -> list[Object]:
    """All objects of a chart with these values."""
    words = ["template", RELEASE, str(chart), "--namespace", "trading"]
    for name, value in (values or {}).items():
        words += ["--set-json", f"{name}={json.dumps(value)}"]
    done = run_helm(*words)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def refusal(chart: Path, values: Mapping[str, Any]) -> str:
    """Helm's error for values that it must refuse."""
    words = ["template", RELEASE, str(chart)]
    for name, value in values.items():
        words += ["--set-json", f"{name}={json.dumps(value)}"]
    done = run_helm(*words)
    assert done.returncode != 0, "helm took it"
    return done.stderr


def one(objects: list[Object], kind: str, name: str) -> Object:
    """The object of this kind and name."""
    (found,) = [
        item for item in objects if item["kind"] == kind and item["metadata"]["name"] == name
    ]
    return found


def user_rules(objects: list[Object]) -> dict[str, str]:
    """The ACL rules of each user."""
    data = one(objects, "ConfigMap", f"{RELEASE}-redis")["data"]
    return {
        name.removeprefix(USER_FILE): rules
        for name, rules in data.items()
        if name.startswith(USER_FILE)
    }


def password_of(user: str) -> str:
    """The password that replaces the one from the secret."""
    return f"{user}-secret"


def server_with_users(binary: str, folder: Path, rules: Mapping[str, str]) -> StreamServer:
    """A server with only these users, except that `default` may ping until it is up."""
    lines = [f"user {name} on >{password_of(name)} {rule}" for name, rule in rules.items()]
    acl = folder / "users.acl"
    acl.write_text("\n".join(["user default on nopass -@all +ping", *lines]) + "\n")
    return StreamServer(binary, folder, "--aclfile", str(acl))
