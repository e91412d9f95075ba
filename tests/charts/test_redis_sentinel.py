"""The objects that the charts of Redis and PostgreSQL render on their own."""

import base64
from pathlib import Path
from typing import Any

import pytest

from streamdesk.contracts import topics
from tests.charts.redis_sentinel_chart import CHART, Object, one, refusal, render, user_rules

POSTGRES = CHART.parent / "postgres"
STATEFUL = {CHART: "desk-redis", POSTGRES: "desk-postgres"}
SELECTOR = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}


def stateful_set(chart: Path = CHART, values: dict[str, Any] | None = None) -> Object:
    return one(render(chart, values), "StatefulSet", STATEFUL[chart])


def containers(chart: Path = CHART, values: dict[str, Any] | None = None) -> dict[str, Object]:
    pod = stateful_set(chart, values)["spec"]["template"]["spec"]
    return {container["name"]: container for container in pod["containers"]}


def config(name: str, values: dict[str, Any] | None = None) -> dict[str, list[str]]:
    """Directives of a configuration file; several of one name together."""
    text: str = one(render(values=values), "ConfigMap", "desk-redis")["data"][name]
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            word, _, rest = line.strip().partition(" ")
            found.setdefault(word, []).append(rest)
    return found


def test_every_pod_of_redis_has_an_address_that_outlives_it() -> None:
    objects = render()
    for ordinal in range(3):
        spec = one(objects, "Service", f"desk-redis-{ordinal}")["spec"]
        assert spec["type"] == "ClusterIP"
        assert "clusterIP" not in spec
        assert spec["publishNotReadyAddresses"] is True
        assert spec["selector"]["statefulset.kubernetes.io/pod-name"] == f"desk-redis-{ordinal}"
    nodes = {item["name"]: item for item in containers()["redis"]["env"]}["NODES"]["value"]
    # With the namespace: alone the pod's own name is its own address, by /etc/hosts.
    assert nodes.split() == [f"desk-redis-{ordinal}.trading.svc" for ordinal in range(3)]


def test_pods_start_one_after_the_other_and_spread_over_nodes_where_they_can() -> None:
    spec = stateful_set()["spec"]
    assert (spec["replicas"], spec["podManagementPolicy"]) == (3, "OrderedReady")
    rules = spec["template"]["spec"]["affinity"]["podAntiAffinity"]
    assert list(rules) == ["preferredDuringSchedulingIgnoredDuringExecution"]


@pytest.mark.parametrize("chart", [CHART, POSTGRES], ids=["redis", "postgres"])
def test_nothing_that_an_upgrade_cannot_change_names_a_version(chart: Path) -> None:
    spec = stateful_set(chart)["spec"]
    assert set(spec["selector"]["matchLabels"]) == SELECTOR
    for claim in spec["volumeClaimTemplates"]:
        assert set(claim["metadata"]["labels"]) == SELECTOR


@pytest.mark.parametrize("chart", [CHART, POSTGRES], ids=["redis", "postgres"])
def test_pods_keep_the_restricted_standard_and_have_no_token(chart: Path) -> None:
    pod = stateful_set(chart)["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 10_000
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("chart", [CHART, POSTGRES], ids=["redis", "postgres"])
def test_every_container_has_three_probes_of_which_not_all_are_alike(chart: Path) -> None:
    for container in containers(chart).values():
        probes = [container[f"{name}Probe"] for name in ("startup", "liveness", "readiness")]
        asked = [
            probe.get("exec") or probe.get("httpGet") or probe["tcpSocket"] for probe in probes
        ]
        assert asked[1] != asked[2], container["name"]


def test_data_is_kept_and_never_evicted() -> None:
    settings = config("redis.conf")
    assert settings["maxmemory-policy"] == ["noeviction"]
    assert settings["appendonly"] == ["yes"]
    assert settings["appendfsync"] == ["everysec"]
    assert settings["save"] == ["60 1"]
    assert settings["min-replicas-to-write"] == ["1"]
    assert int(settings["min-replicas-max-lag"][0]) <= 5
    assert settings["repl-diskless-sync-delay"] == ["0"]
    limit = containers()["redis"]["resources"]["limits"]["memory"]
    assert int(settings["maxmemory"][0].removesuffix("mb")) < int(limit.removesuffix("Mi"))


def test_the_nodes_of_streams_are_a_setting() -> None:
    given = {"redis.streamNodeMaxBytes": 8192, "redis.streamNodeMaxEntries": 50}
    settings = config("redis.conf", given)
    assert settings["stream-node-max-bytes"] == ["8192"]
    assert settings["stream-node-max-entries"] == ["50"]


def test_with_tls_no_port_accepts_plain_connections() -> None:
    values = {"tls.enabled": True, "tls.existingSecret": "certificates"}
    for name, port in (("redis.conf", "6379"), ("sentinel.conf", "26379")):
        settings = config(name, values)
        assert settings["port"] == ["0"]
        assert settings["tls-port"] == [port]
        assert settings["tls-replication"] == ["yes"]
    assert "--redis.addr=rediss://127.0.0.1:6379" in containers(values=values)["exporter"]["args"]


def test_a_sentinel_accepts_no_changes_from_anonymous_clients() -> None:
    (rules,) = [rule for rule in config("sentinel.conf")["user"] if rule.startswith("default")]
    allowed = {word for word in rules.split() if word.startswith("+")}
    assert "+@all" not in allowed
    assert not allowed & {"+sentinel", "+sentinel|set", "+sentinel|failover", "+shutdown", "+acl"}


def test_the_secret_has_a_password_for_every_user_and_outlives_the_release() -> None:
    objects = render()
    secret = one(objects, "Secret", "desk-redis-auth")
    assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert set(secret["data"]) == {f"{user}-password" for user in user_rules(objects)}
    passwords = [base64.b64decode(text).decode() for text in secret["data"].values()]
    assert all(password.isalnum() and len(password) == 32 for password in passwords)
    assert len(set(passwords)) == len(passwords)


def test_every_producer_and_group_of_the_topics_has_a_user() -> None:
    users = set(user_rules(render()))
    assert {service for topic in topics.TOPICS for service in topic.producers} <= users
    grouped = {who.service for topic in topics.TOPICS for who in topic.consumers if who.group}
    assert grouped <= users


@pytest.mark.parametrize("chart", [CHART, POSTGRES], ids=["redis", "postgres"])
def test_no_secret_is_made_beside_one_that_is_given(chart: Path) -> None:
    objects = render(chart, {"auth.existingSecret": "given"})
    assert not [item for item in objects if item["kind"] == "Secret"]
    assert "given" in str(one(objects, "StatefulSet", STATEFUL[chart]))


def test_pods_roll_when_what_they_read_at_the_start_has_changed() -> None:
    def sums(values: dict[str, Any]) -> str:
        template = stateful_set(values=values)["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/config"])

    before = sums({})
    assert sums({}) == before, "a password in the sum would roll the pods for nothing"
    assert sums({"redis.save": "300 1"}) != before
    assert sums({"users.another": {"reads": ["tasks"]}}) != before


def test_the_exporter_can_be_left_out() -> None:
    assert "exporter" in containers()
    assert "exporter" not in containers(values={"exporter.enabled": False})


def test_the_image_and_its_programs_are_settings() -> None:
    digest = "sha256:" + "0" * 64
    values = {"image.registry": "mirror.example", "image.digest": digest}
    found = containers(values=values | {"redis.command": ["valkey-server"]})["redis"]
    assert found["image"] == f"mirror.example/redis@{digest}"
    environment = {item["name"]: item.get("value") for item in found["env"]}
    assert environment["REDIS_COMMAND"] == "valkey-server"


@pytest.mark.parametrize(
    ("chart", "values", "said"),
    [
        (CHART, {"unknown": 1}, "unknown"),
        (CHART, {"redis.unknown": 1}, "unknown"),
        (CHART, {"sentinel.quorum": 4}, "quorum"),
        (CHART, {"users.another": {"reads": ["a b"]}}, "reads"),
        (CHART, {"users.admin": {"reads": ["tasks"]}}, "choose another"),
        (CHART, {"redis.maxmemoryMegabytes": 500}, "at most 384"),
        (CHART, {"sentinel.staggerMilliseconds": 800}, "at least 500"),
        (CHART, {"tls.enabled": True}, "needs tls.existingSecret"),
        (POSTGRES, {"unknown": 1}, "unknown"),
        (POSTGRES, {"auth.unknown": 1}, "unknown"),
    ],
    ids=str,
)
def test_invalid_values_are_refused_with_a_reason(
    chart: Path, values: dict[str, Any], said: str
) -> None:
    assert said in refusal(chart, values)


@pytest.mark.parametrize("chart", [CHART, POSTGRES], ids=["redis", "postgres"])
def test_a_subchart_accepts_the_values_of_its_parent(chart: Path) -> None:
    assert render(chart, {"enabled": True, "global": {"any": "thing"}})


def test_postgres_keeps_its_password_and_connects_to_nothing() -> None:
    objects = render(POSTGRES)
    secret = one(objects, "Secret", "desk-postgres-auth")
    assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    policy = one(objects, "NetworkPolicy", "desk-postgres")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == []
    names = [item["podSelector"]["matchLabels"] for item in policy["ingress"][0]["from"]]
    assert names[0]["app.kubernetes.io/component"] == "order-executor"
