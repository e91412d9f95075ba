"""How skaffold reads skaffold.yaml: schema rules, profiles, sync and the helm command.

The schema covers the parts that the file uses: like skaffold itself, it refuses an unknown key, a
missing one or a value of another type. skaffold/v4beta14, version 2.14 and later.
"""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
Config = dict[str, Any]

# Type by name; a name that ends in `!` is required, `[x]` is a list of x, `{}` is text by name.
SCHEMA: dict[str, dict[str, str]] = {
    "config": {
        "apiVersion!": "text",
        "kind!": "text",
        "metadata": "metadata",
        "build": "build",
        "deploy": "deploy",
        "portForward": "[forward]",
        "profiles": "[profile]",
    },
    "metadata": {"name": "text", "labels": "{}", "annotations": "{}"},
    "build": {"artifacts": "[artifact]", "tagPolicy": "tagger", "local": "local"},
    "tagger": {"inputDigest": "nothing", "gitCommit": "nothing", "sha256": "nothing"},
    "local": {
        "push": "flag",
        "tryImportMissing": "flag",
        "useDockerCLI": "flag",
        "useBuildkit": "flag",
        "concurrency": "number",
    },
    "artifact": {
        "image!": "text",
        "context": "text",
        "docker": "docker",
        "sync": "sync",
        "platforms": "[text]",
    },
    "docker": {
        "dockerfile": "text",
        "target": "text",
        "buildArgs": "{}",
        "network": "text",
        "cacheFrom": "[text]",
        "noCache": "flag",
        "pullParent": "flag",
    },
    "sync": {"manual": "[rule]", "infer": "[text]"},
    "rule": {"src!": "text", "dest!": "text", "strip": "text"},
    "deploy": {"helm": "helm", "statusCheck": "flag", "statusCheckDeadlineSeconds": "number"},
    "helm": {"releases!": "[release]", "flags": "flags", "hooks": "hooks"},
    "flags": {"global": "[text]", "install": "[text]", "upgrade": "[text]"},
    "release": {
        "name!": "text",
        "chartPath": "text",
        "namespace": "text",
        "createNamespace": "flag",
        "skipBuildDependencies": "flag",
        "skipTests": "flag",
        "valuesFiles": "[text]",
        "setValues": "{}",
        "setValueTemplates": "{}",
        "wait": "flag",
        "dependsOn": "[text]",
    },
    "hooks": {"before": "[hook]", "after": "[hook]"},
    "hook": {"host": "host"},
    "host": {"command!": "[text]", "os": "[text]", "dir": "text"},
    "forward": {
        "resourceType": "text",
        "resourceName": "text",
        "namespace": "text",
        "port": "number",
        "address": "text",
        "localPort": "number",
    },
    "profile": {
        "name!": "text",
        "activation": "[activation]",
        "requiresAllActivations": "flag",
        "patches": "[patch]",
        "build": "build",
        "deploy": "deploy",
        "portForward": "[forward]",
    },
    "activation": {"env": "text", "kubeContext": "text", "command": "text"},
    "patch": {"op": "text", "path!": "text", "from": "text", "value": "any"},
}
PLAIN: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "flag": (bool,),
    "number": (int,),
    "nothing": (dict, type(None)),
    "any": (object,),
}


def load() -> Config:
    """The file, with its anchors resolved."""
    config: Config = yaml.safe_load((ROOT / "skaffold.yaml").read_text())
    return config


def complaints(value: Any, kind: str = "config", where: str = "") -> Iterator[str]:
    """One line for everything that the schema refuses."""
    if kind.startswith("["):
        if not isinstance(value, list):
            yield f"{where}: expected a list"
            return
        for index, item in enumerate(value):
            yield from complaints(item, kind.strip("[]"), f"{where}/{index}")
    elif kind == "{}":
        if not all(isinstance(word, str) for pair in value.items() for word in pair):
            yield f"{where}: expected text by name"
    elif kind in PLAIN:
        if not isinstance(value, PLAIN[kind]):
            yield f"{where}: expected {kind}, not {value!r}"
    elif not isinstance(value, dict):
        yield f"{where}: expected {kind}, not {value!r}"
    else:
        fields = {name.rstrip("!"): inner for name, inner in SCHEMA[kind].items()}
        required = {name[:-1] for name in SCHEMA[kind] if name.endswith("!")}
        yield from (f"{where}: unknown key {name}" for name in value.keys() - fields.keys())
        yield from (f"{where}: {name} is missing" for name in required - value.keys())
        for name in value.keys() & fields.keys():
            yield from complaints(value[name], fields[name], f"{where}/{name}")


def with_profiles(config: Config, *names: str) -> Config:
    """The file with profiles active: their patches (RFC 6902) in the order of the file.

    Raises:
        KeyError: a patch's path does not exist, or a profile does not.
    """
    merged = copy.deepcopy(config)
    profiles = {profile["name"]: profile for profile in merged.pop("profiles")}
    for name in set(names) - profiles.keys():
        raise KeyError(name)
    for name, profile in profiles.items():
        for patch in profile.get("patches", []) if name in names else []:
            _apply(merged, patch)
    return merged


def _apply(config: Config, patch: dict[str, Any]) -> None:
    *parents, last = patch["path"].strip("/").split("/")
    at: Any = config
    for part in parents:
        at = at[int(part) if isinstance(at, list) else part]
    if isinstance(at, list):
        if last != "-" or patch["op"] != "add":
            raise KeyError(patch["path"])
        at.append(patch["value"])
    elif patch["op"] == "add":
        at[last] = patch["value"]
    elif last not in at:
        raise KeyError(patch["path"])
    elif patch["op"] == "remove":
        del at[last]
    else:
        at[last] = patch["value"]


def release(config: Config) -> Config:
    """The one release."""
    (only,) = config["deploy"]["helm"]["releases"]
    return dict(only)


def helm_arguments(config: Config, tags: dict[str, str]) -> list[str]:
    """Name, chart and values as skaffold hands them to helm.

    Args:
        config: the file, with its profiles.
        tags: the tag that was built, by image.
    """
    one = release(config)
    known: dict[str, str] = {}
    for image, tag in tags.items():
        suffix = re.sub(r"[-/]", "_", image)
        known |= {f"IMAGE_REPO_{suffix}": image, f"IMAGE_TAG_{suffix}": tag}
    arguments = [one["name"], str(ROOT / one["chartPath"]), "--namespace", one["namespace"]]
    for file in one.get("valuesFiles", []):
        arguments += ["--values", str(ROOT / file)]
    for key, template in one.get("setValueTemplates", {}).items():
        value = re.sub(r"\{\{\.(\w+)\}\}", lambda found: known[found[1]], template)
        arguments += ["--set", f"{key}={value}"]
    return arguments


def destination(artifact: Config, path: str) -> str | None:
    """Where a saved file goes in the container; None: it makes a new image."""
    for rule in artifact["sync"]["manual"]:
        head, _, tail = rule["src"].partition("**")
        assert tail == "/*", f"{rule['src']}: only whole folders are understood here"
        if path.startswith(head):
            return f"{rule['dest']}/{path.removeprefix(rule['strip'])}"
    return None
