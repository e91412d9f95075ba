"""Where the analysis keeps its bars."""

from typing import Any

import pytest

from tests.charts.redis_sentinel_chart import Object, one
from tests.charts.streamdesk_chart import container, deployment, external, pod, settings

CLAIM = "desk-analysis-bars"


def volume(objects: list[Object]) -> Object:
    """What is mounted at the folder that is configured for bars."""
    folder = settings(objects, "analysis")["BAR_STORE_FOLDER"]
    mounts = container(objects, "analysis")["volumeMounts"]
    (name,) = (mount["name"] for mount in mounts if mount["mountPath"] == folder)
    (found,) = (item for item in pod(objects, "analysis")["volumes"] if item["name"] == name)
    assert isinstance(found, dict)
    return found


def kind_of_update(**bar_store: Any) -> str:
    objects = external(analysis__barStore=bar_store)
    return str(deployment(objects, "analysis")["spec"]["strategy"]["type"])


def test_without_a_claim_a_pod_has_a_folder_of_limited_size_that_its_limits_allow() -> None:
    objects = external()
    assert volume(objects) == {"name": "bars", "emptyDir": {"sizeLimit": "1Gi"}}
    limits = container(objects, "analysis")["resources"]["limits"]
    assert limits["ephemeral-storage"] == "1200Mi"
    assert not [item for item in objects if item["kind"] == "PersistentVolumeClaim"]


def test_a_claim_is_made_and_stays_after_an_uninstall() -> None:
    values = {"persistent": True, "size": "5Gi", "storageClassName": "fast"}
    objects = external(analysis__barStore=values)
    assert volume(objects)["persistentVolumeClaim"] == {"claimName": CLAIM}
    claim = one(objects, "PersistentVolumeClaim", CLAIM)
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": "5Gi"}},
    }


def test_an_existing_claim_is_used_and_none_is_made() -> None:
    objects = external(analysis__barStore={"persistent": True, "existingClaim": "mine"})
    assert volume(objects)["persistentVolumeClaim"] == {"claimName": "mine"}
    assert not [item for item in objects if item["kind"] == "PersistentVolumeClaim"]


@pytest.mark.parametrize("claim", [{"persistent": True}, {"existingClaim": "mine"}])
def test_a_volume_for_one_node_is_released_before_the_next_pod_needs_it(
    claim: dict[str, Any],
) -> None:
    assert kind_of_update(**claim) == "Recreate"
    assert kind_of_update(**claim, accessModes=["ReadWriteMany"]) == "RollingUpdate"
    assert kind_of_update() == "RollingUpdate"


def test_a_strategy_that_is_named_holds_whatever_the_volume() -> None:
    rolling = {"type": "RollingUpdate"}
    objects = external(analysis__barStore={"persistent": True}, analysis__strategy=rolling)
    assert deployment(objects, "analysis")["spec"]["strategy"] == rolling


def test_no_other_service_has_a_bar_store() -> None:
    objects = external()
    for service in ("signal-generator", "websocket-gateway"):
        assert "BAR_STORE_FOLDER" not in settings(objects, service)
        assert "bars" not in {item["name"] for item in pod(objects, service)["volumes"]}
