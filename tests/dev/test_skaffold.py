import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.dev.skaffold import (
    ROOT,
    complaints,
    destination,
    helm_arguments,
    load,
    release,
    with_profiles,
)
from tools.services import in_cluster

PROFILES = ("dev", "ci", "recorded")
IN_A_CLUSTER = sorted(service.name for service in in_cluster())
# What is off by default has an image, too.
EVERY_SERVICE = ("--set", "alertRelay.enabled=true", "--set", "alertRelay.existingSecret=robot")


def artifacts() -> dict[str, Any]:
    return {artifact["image"]: artifact for artifact in load()["build"]["artifacts"]}


def rendered(*profiles: str) -> list[dict[str, Any]]:
    """The chart's objects, as skaffold would install them."""
    if shutil.which("helm") is None:
        pytest.skip("no helm on the PATH")
    tags = {image: f"tag-of-{image.partition('/')[2]}" for image in artifacts()}
    arguments = helm_arguments(with_profiles(load(), *profiles), tags)
    done = subprocess.run(
        ["helm", "template", *arguments, *EVERY_SERVICE],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def container_of(objects: list[dict[str, Any]], service: str) -> dict[str, Any]:
    (deployment,) = (
        one
        for one in objects
        if (one["kind"], one["metadata"]["name"]) == ("Deployment", f"desk-{service}")
    )
    container: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    return container


def test_the_file_says_nothing_that_the_schema_does_not_know() -> None:
    config = load()
    assert (config["apiVersion"], config["kind"]) == ("skaffold/v4beta14", "Config")
    assert list(complaints(config)) == []


def test_the_rules_notice_an_unknown_key_a_missing_one_and_a_wrong_type() -> None:
    config = load()
    config["build"]["artifacts"][0]["dockerfile"] = "x"
    del config["deploy"]["helm"]["releases"][0]["name"]
    config["portForward"][0]["port"] = "8080"
    assert sorted(complaints(config)) == [
        "/build/artifacts/0: unknown key dockerfile",
        "/deploy/helm/releases/0: name is missing",
        "/portForward/0/port: expected number, not '8080'",
    ]


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_fits_the_file(profile: str) -> None:
    config = with_profiles(load(), profile)
    assert list(complaints(config)) == []
    for values in release(config)["valuesFiles"]:
        assert (ROOT / values).is_file(), values


def test_every_service_of_a_cluster_is_built_from_the_root_by_the_one_recipe() -> None:
    assert sorted(artifacts()) == [f"streamdesk/{service}" for service in IN_A_CLUSTER]
    for image, artifact in artifacts().items():
        assert artifact["context"] == "."
        assert (ROOT / artifact["docker"]["dockerfile"]).is_file()
        assert artifact["docker"]["buildArgs"]["SERVICE"] == image.partition("/")[2]


@pytest.mark.parametrize("service", IN_A_CLUSTER)
def test_every_source_of_a_service_and_its_libraries_is_synced_to_where_it_runs(
    service: str,
) -> None:
    artifact = artifacts()[f"streamdesk/{service}"]
    # The recipe's context has every library: one without a rule would make a new image.
    libraries = [str(path.parent.relative_to(ROOT)) for path in ROOT.glob("libs/*/pyproject.toml")]
    for home in [*libraries, f"services/{service}"]:
        for source in (ROOT / home / "src").rglob("*.py"):
            path = str(source.relative_to(ROOT))
            inside = path.partition("/src/")[2]
            assert destination(artifact, path) == f"/sources/{inside}"
    assert destination(artifact, "libs/bus/pyproject.toml") is None
    assert destination(artifact, f"requirements/{service}.txt") is None


@pytest.mark.parametrize("service", IN_A_CLUSTER)
def test_every_service_runs_the_image_that_was_just_built(service: str) -> None:
    container = container_of(rendered(), service)
    assert container["image"] == f"streamdesk/{service}:tag-of-{service}"


@pytest.mark.parametrize("service", IN_A_CLUSTER)
def test_the_dev_profile_runs_from_a_volume_and_keeps_the_root_read_only(service: str) -> None:
    objects = rendered("dev")
    container = container_of(objects, service)
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts["sources"] == "/sources"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    settings = [
        one["data"]
        for one in objects
        if one["kind"] == "ConfigMap" and "DEV_RELOAD_FOLDER" in one.get("data", {})
    ]
    assert [data["DEV_RELOAD_FOLDER"] for data in settings] == ["/sources"] * len(IN_A_CLUSTER)


def test_without_the_dev_profile_nothing_reloads() -> None:
    for profiles in ((), ("ci",), ("recorded",)):
        assert "DEV_RELOAD_FOLDER" not in yaml.safe_dump_all(rendered(*profiles))


def test_the_recorded_profile_plays_a_file_with_and_without_the_dev_profile() -> None:
    for profiles in (("recorded",), ("dev", "recorded")):
        objects = rendered(*profiles)
        container = container_of(objects, "signal-generator")
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert (mounts["recording"], mounts["sources"]) == ("/recording", "/sources")
        assert any(one.get("data", {}).get("FEED") == "recorded" for one in objects)


def test_every_port_that_is_forwarded_is_a_service_of_the_chart() -> None:
    services = [one for one in rendered("dev") if one["kind"] == "Service"]
    for forward in load()["portForward"]:
        (found,) = (one for one in services if one["metadata"]["name"] == forward["resourceName"])
        assert forward["port"] in [port["port"] for port in found["spec"]["ports"]]
        assert forward["namespace"] == release(load())["namespace"]
