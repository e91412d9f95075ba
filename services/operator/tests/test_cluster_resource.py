"""The resource on a real API server: what it takes, what it refuses, what it shows."""

from typing import Any

import yaml

from tests.pools import ROOT, Kube, pool

SAMPLES = sorted((ROOT / "k8s/samples").glob("executorpool*.yaml"))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"minReplicas": 5, "maxReplicas": 4}, "minReplicas is above maxReplicas"),
    ({"maxReplicas": 0, "minReplicas": 0}, "spec.maxReplicas"),
    ({"drainSeconds": 30, "backlogPerReplica": 10}, "exactly one of"),
    ({"backlogPerReplica": None}, "exactly one of"),
    ({"drainSeconds": 0}, "spec.drainSeconds"),
    ({"onMetricLoss": {"mode": "Fallback"}}, "needs replicas"),
    ({"redis": {"streams": [], "group": "g"}}, "spec.redis.streams"),
    ({"pollSeconds": 0}, "spec.pollSeconds"),
    ({"onExternalScale": {"mode": "Fight"}}, "Unsupported value"),
]


def test_every_sample_is_accepted(kube: Kube) -> None:
    for sample in SAMPLES:
        kube.apply(yaml.safe_load(sample.read_text()))


def test_a_spec_that_makes_no_sense_is_refused(kube: Kube) -> None:
    for spec, said in REFUSED:
        done = kube.run("apply", "-f", "-", stdin=yaml.safe_dump(pool(**spec)))
        assert done.returncode != 0, spec
        assert said in done.stderr, spec


def test_what_it_counts_and_what_it_sizes_cannot_be_changed(kube: Kube) -> None:
    kube.apply(pool())
    for spec in (
        {"redis": {"streams": ["other"], "group": "order-executors"}},
        {"redis": {"streams": ["{trading:signals}:90"], "group": "other"}},
        {"targetRef": {"name": "other"}},
    ):
        done = kube.run("apply", "-f", "-", stdin=yaml.safe_dump(pool(**spec)))
        assert "cannot be changed" in done.stderr


def test_it_has_short_names_and_the_columns_of_the_page(kube: Kube) -> None:
    kube.apply(pool())
    head = kube("get", "xp").splitlines()[0].split()
    assert head == [
        "NAME", "TARGET", "MIN", "MAX", "REPLICAS", "DESIRED", "UNREAD", "PENDING", "SOURCE",
        "READY", "PAUSED", "AGE",
    ]  # fmt: skip


def test_the_operators_role_is_narrow(kube: Kube) -> None:
    account = f"system:serviceaccount:{kube.namespace}:streamdesk-operator"
    listed = kube("auth", "can-i", "--list", f"--as={account}", "--no-headers")
    allowed = set()
    for line in listed.splitlines():
        words = line.replace("[", " [").split(None, 1)
        if words and "." in words[0] + "." and not line.lstrip().startswith("["):
            allowed.add(words[0])
    everybodys = {
        "selfsubjectreviews.authentication.k8s.io",
        "selfsubjectaccessreviews.authorization.k8s.io",
        "selfsubjectrulesreviews.authorization.k8s.io",
    }
    assert allowed - everybodys == {
        "executorpools.streamdesk.io",
        "executorpools.streamdesk.io/status",
        "deployments.apps/scale",
        "pods",
        "horizontalpodautoscalers.autoscaling",
        "scaledobjects.keda.sh",
        "events",
        "leases.coordination.k8s.io",
    }
    for verb, what in (
        ("patch", "deployments/desk-order-executor"),
        ("patch", "deployments/other --subresource=scale"),
        ("delete", "pods"),
        ("get", "secrets"),
        ("patch", "executorpools"),
        ("update", "leases/another"),
    ):
        done = kube.run("auth", "can-i", verb, *what.split(), f"--as={account}")
        assert done.stdout.strip() == "no", f"{verb} {what}"
