"""Write the schemas that `make charts` checks the chart's objects against, from an API server.

`python tools/kube_schemas.py` asks the server that kubectl reaches. The files are strict (a field
that the server does not know is an error), hold only the kinds that the charts use, and let
kubeconform work without a network. Descriptions are left out: they are nine tenths of the size.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "charts" / "schemas"
GROUPS = {
    "api/v1": (
        *("ConfigMap", "PersistentVolumeClaim", "Pod", "Secret", "Service", "ServiceAccount"),
    ),
    "apis/apps/v1": ("Deployment", "StatefulSet"),
    "apis/networking.k8s.io/v1": ("NetworkPolicy",),
    "apis/policy/v1": ("PodDisruptionBudget",),
    "apis/rbac.authorization.k8s.io/v1": ("Role", "RoleBinding"),
}
DROPPED = ("description", "x-kubernetes-group-version-kind", "default")
DEFINITIONS = "_definitions.json"


def strict(node: Any) -> Any:  # noqa: ANN401 - any JSON
    """A part of an OpenAPI document as strict JSON schema."""
    if isinstance(node, list):
        return [strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    # A field may be called `description`, too: in a map of properties all keys are names.
    kept = {
        key: {name: strict(item) for name, item in value.items()}
        if key == "properties"
        else strict(value)
        for key, value in node.items()
        if key not in DROPPED and not key.startswith("x-kubernetes")
    }
    if "properties" in kept:
        kept.setdefault("additionalProperties", False)
    if "$ref" in kept:
        kept["$ref"] = f"{DEFINITIONS}#/definitions/{str(kept['$ref']).rpartition('/')[2]}"
    return kept


def names_in(node: Any) -> set[str]:  # noqa: ANN401 - any JSON
    """The definitions that a schema refers to."""
    if isinstance(node, list):
        return set().union(*map(names_in, node))
    if not isinstance(node, dict):
        return set()
    own = {node["$ref"].rpartition("/")[2]} if isinstance(node.get("$ref"), str) else set()
    return own.union(*map(names_in, node.values()))


def read(group: str) -> dict[str, Any]:
    """All definitions of an API group."""
    command = ["kubectl", "get", "--raw", f"/openapi/v3/{group}"]
    answer = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    definitions: dict[str, Any] = json.loads(answer)["components"]["schemas"]
    return definitions


def main() -> None:
    """Write a file a kind, and one with what they share."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    shared: dict[str, Any] = {}
    for group, kinds in GROUPS.items():
        known = read(group)
        suffix = "-".join(part.partition(".")[0] for part in group.split("/")[1:])
        wanted = [name for name in known if name.rpartition(".")[2] in kinds]
        for name in wanted:
            kind = name.rpartition(".")[2]
            file = FOLDER / f"{kind.lower()}-{suffix}.json"
            text = json.dumps({"$ref": f"{DEFINITIONS}#/definitions/{name}"})
            file.write_text(f"{text}\n", encoding="utf-8")
        while wanted:
            name = wanted.pop()
            if name not in shared:
                shared[name] = strict(known[name])
                wanted += names_in(shared[name])
    lines = ",\n".join(
        f" {json.dumps(name)}: {json.dumps(shared[name])}" for name in sorted(shared)
    )
    text = f'{{"definitions": {{\n{lines}\n}}}}\n'
    (FOLDER / DEFINITIONS).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
