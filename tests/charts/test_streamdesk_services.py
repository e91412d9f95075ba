"""What the chart makes of a service, with the values that matter."""

import pytest
import yaml

from streamdesk.bus.topic_keys import keys_of
from streamdesk.contracts.topics import TRADING_SIGNALS
from tests.charts.redis_sentinel_chart import Object, one, refusal
from tests.charts.streamdesk_chart import (
    CHART,
    RELEASE,
    ROOT,
    SECTIONS,
    container,
    deployment,
    desk,
    env,
    external,
    pod,
    policy,
    reached,
    settings,
)


@pytest.fixture(scope="module")
def whole() -> list[Object]:
    return desk()


@pytest.mark.parametrize("service", SECTIONS)
def test_a_deployment_never_says_how_many_replicas_it_has(
    whole: list[Object], service: str
) -> None:
    assert "replicas" not in deployment(whole, service)["spec"]


@pytest.mark.parametrize("service", SECTIONS)
def test_every_pod_is_restricted(whole: list[Object], service: str) -> None:
    assert pod(whole, service)["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container(whole, service)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(whole, service)["enableServiceLinks"] is False


@pytest.mark.parametrize("service", SECTIONS)
def test_only_the_operator_has_a_token_for_the_api_server(
    whole: list[Object], service: str
) -> None:
    assert pod(whole, service)["automountServiceAccountToken"] is (service == "operator")
    account = one(whole, "ServiceAccount", pod(whole, service)["serviceAccountName"])
    assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("service", SECTIONS)
def test_a_process_has_less_time_to_end_than_its_pod(whole: list[Object], service: str) -> None:
    grace = float(settings(whole, service)["GRACE_SECONDS"])
    sleep = container(whole, service).get("lifecycle", {"preStop": {"sleep": {"seconds": 0}}})
    before = sleep["preStop"]["sleep"]["seconds"]
    assert before + grace < pod(whole, service)["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("service", SECTIONS)
def test_the_three_probes_of_a_service_differ(whole: list[Object], service: str) -> None:
    probes = [
        container(whole, service)[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")
    ]
    assert all(probes[one] != probes[other] for one, other in [(0, 1), (0, 2), (1, 2)])
    assert probes[2]["httpGet"]["path"] == "/readyz"


@pytest.mark.parametrize(("service", "section"), SECTIONS.items())
def test_a_disabled_service_has_no_objects(service: str, section: str) -> None:
    objects = external(**{f"{section}__enabled": False})
    names = {(item["kind"], item["metadata"]["name"]) for item in objects}
    assert not {name for name in names if name[1].startswith(f"{RELEASE}-{service}")}


def test_each_service_connects_to_redis_with_a_user_of_its_own(whole: list[Object]) -> None:
    for service in SECTIONS:
        variables = env(whole, service)
        hosts = ",".join(f"desk-redis-{n}.trading.svc:26379" for n in range(3))
        expected = f"redis+sentinel://{service}:$(REDIS_USER_PASSWORD)@{hosts}/streamdesk/0"
        assert variables["REDIS_URL"]["value"] == expected
        secret = variables["REDIS_USER_PASSWORD"]["valueFrom"]["secretKeyRef"]
        assert secret == {"name": "desk-redis-auth", "key": f"{service}-password"}
        assert list(variables).index("REDIS_USER_PASSWORD") < list(variables).index("REDIS_URL")
        assert settings(whole, service)["BUS_WAIT_REPLICAS"] == "1"


def test_with_tls_the_authority_is_mounted_where_the_url_says() -> None:
    objects = desk(redis__tls={"enabled": True, "existingSecret": "redis-tls"})
    url = env(objects, "news-filter")["REDIS_URL"]["value"]
    assert url.startswith("rediss+sentinel://")
    assert "ssl_ca_certs=/redis-tls/ca.crt" in url
    mounts = {
        mount["mountPath"] for mount in container(objects, "signal-generator")["volumeMounts"]
    }
    assert mounts == {"/tmp", "/redis-tls"}  # noqa: S108 - of the pod


def test_the_ledger_and_the_paper_broker_are_one_database(whole: list[Object]) -> None:
    variables = env(whole, "order-executor")
    assert variables["LEDGER_URL"]["value"] == (
        "postgresql+asyncpg://streamdesk:$(POSTGRES_PASSWORD)@desk-postgres:5432/streamdesk"
    )
    assert variables["PAPER_BROKER_URL"]["value"] == "$(LEDGER_URL)"
    assert "LEDGER_URL" not in env(whole, "news-filter")


def test_an_external_redis_and_postgres_come_from_existing_secrets() -> None:
    objects = external(externalRedis__urlKeys={"operator": "operator-url"})
    found = {name: env(objects, name)["REDIS_URL"]["valueFrom"] for name in SECTIONS}
    assert found["operator"]["secretKeyRef"] == {"name": "my-redis", "key": "operator-url"}
    assert found["news-filter"]["secretKeyRef"] == {"name": "my-redis", "key": "url"}
    ledger = env(objects, "order-executor")["LEDGER_URL"]["valueFrom"]["secretKeyRef"]
    assert ledger == {"name": "my-postgres", "key": "url"}
    assert not [item for item in objects if item["kind"] == "StatefulSet"]
    assert settings(objects, "order-executor")["BUS_WAIT_REPLICAS"] == "0"


@pytest.mark.parametrize("missing", ["redis", "postgres"])
def test_without_a_redis_or_a_postgres_helm_says_what_to_set(missing: str) -> None:
    said = refusal(CHART, {f"{missing}.enabled": False})
    assert f"external{missing.capitalize()}.existingSecret" in said


def test_a_pod_reaches_what_it_needs_and_nothing_else(whole: list[Object]) -> None:
    redis = {("redis", 6379), ("redis", 26379)}
    expected = dict.fromkeys(SECTIONS, redis)
    expected["order-executor"] = redis | {("postgres", 5432)}
    expected["operator"] = redis | {("outside", 443), ("outside", 6443)}
    assert {name: reached(whole, name) for name in SECTIONS} == expected
    servers = {("websocket-gateway", 8080), ("analysis", 5000)}
    assert reached(whole, "test") == redis | servers


def test_only_the_gateway_is_open_to_everyone(whole: list[Object]) -> None:
    for service in SECTIONS:
        rules = policy(whole, service)["ingress"]
        open_ports = [rule["ports"] for rule in rules if "from" not in rule]
        expected = [[{"port": 8080, "protocol": "TCP"}]] if service == "websocket-gateway" else []
        assert open_ports == expected


def test_the_analysis_is_open_to_the_namespace_and_to_others_only_where_a_value_says_so() -> None:
    def peers(**values: object) -> list[object]:
        rules = policy(external(**values), "analysis")["ingress"]
        port = [{"port": 5000, "protocol": "TCP"}]
        return [rule.get("from") for rule in rules if rule["ports"] == port]

    assert peers() == [[{"podSelector": {}}]]
    others = [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
    assert peers(analysis__allowFrom=others) == [others]
    assert peers(analysis__allowFrom=[]) == [None]


def test_who_may_reach_the_gateway_can_be_narrowed() -> None:
    peers = [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
    rules = policy(external(websocketGateway__allowFrom=peers), "websocket-gateway")["ingress"]
    assert peers in [rule.get("from") for rule in rules]
    assert all("from" in rule for rule in rules)


def test_a_disruption_never_waits_for_a_pod_that_is_broken(whole: list[Object]) -> None:
    for service in SECTIONS:
        spec = one(whole, "PodDisruptionBudget", f"{RELEASE}-{service}")["spec"]
        assert (spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


def test_services_that_must_never_run_twice_use_recreate(whole: list[Object]) -> None:
    kinds = {name: deployment(whole, name)["spec"]["strategy"]["type"] for name in SECTIONS}
    twice = {name for name, kind in kinds.items() if kind == "RollingUpdate"}
    assert twice == set(SECTIONS) - {"operator"}


def test_a_changed_setting_starts_new_pods() -> None:
    def checksum(cash: int) -> str:
        objects = external(orderExecutor__settings={"INITIAL_CASH": cash})
        template = deployment(objects, "order-executor")["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/settings"])

    assert checksum(1_000_000) == checksum(1_000_000) != checksum(2_000_000)


def test_settings_reach_the_service_as_it_reads_them() -> None:
    data = settings(
        external(
            orderExecutor__settings={"INITIAL_CASH": 25_000_000, "LOT_SIZES": {"700.HK": 100}},
            signalGenerator__settings={"SYMBOLS": ["AAPL.US", "700.HK"]},
        ),
        "order-executor",
    )
    assert (data["INITIAL_CASH"], data["LOT_SIZES"]) == ("25000000", '{"700.HK":100}')
    assert data["LOG_FORMAT"] == "json"


def test_what_is_set_for_all_can_be_set_otherwise_for_one_service() -> None:
    objects = external(
        defaults__nodeSelector={"disk": "ssd"},
        newsFilter__nodeSelector={"disk": "any"},
        newsFilter__pdb={"enabled": False},
        defaults__tolerations=[{"key": "desk", "operator": "Exists"}],
        defaults__priorityClassName="desk",
        defaults__env=[{"name": "OTEL_SERVICE_NAME", "value": "x"}],
    )
    assert pod(objects, "news-fetcher")["nodeSelector"] == {"disk": "ssd"}
    assert pod(objects, "news-filter")["nodeSelector"] == {"disk": "any"}
    assert pod(objects, "news-filter")["tolerations"][0]["key"] == "desk"
    assert pod(objects, "news-filter")["priorityClassName"] == "desk"
    assert env(objects, "news-filter")["OTEL_SERVICE_NAME"]["value"] == "x"
    budgets = {i["metadata"]["name"] for i in objects if i["kind"] == "PodDisruptionBudget"}
    assert "desk-news-filter" not in budgets
    assert "desk-news-fetcher" in budgets


def test_an_image_can_be_named_by_registry_tag_and_digest() -> None:
    digest = "sha256:" + "0" * 64
    objects = external(
        image__registry="registry.example.com",
        image__tag="1.2.3",
        image__pullSecrets=["pull"],
        newsFilter__image={"digest": digest},
        newsFetcher__image={"repository": "other/fetcher", "tag": "7"},
    )
    images = {name: container(objects, name)["image"] for name in SECTIONS}
    assert images["operator"] == "registry.example.com/streamdesk/operator:1.2.3"
    assert images["news-filter"] == f"registry.example.com/streamdesk/news-filter@{digest}"
    assert images["news-fetcher"] == "registry.example.com/other/fetcher:7"
    assert pod(objects, "operator")["imagePullSecrets"] == [{"name": "pull"}]


def test_a_spread_without_a_selector_gets_the_services() -> None:
    spread = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
    objects = external(orderExecutor__topologySpreadConstraints=[spread])
    (found,) = pod(objects, "order-executor")["topologySpreadConstraints"]
    selector = deployment(objects, "order-executor")["spec"]["selector"]
    assert found == spread | {"labelSelector": selector}


def test_selectors_hold_nothing_that_an_upgrade_changes(whole: list[Object]) -> None:
    for service in SECTIONS:
        assert deployment(whole, service)["spec"]["selector"]["matchLabels"] == {
            "app.kubernetes.io/name": "streamdesk",
            "app.kubernetes.io/instance": RELEASE,
            "app.kubernetes.io/component": service,
        }


def test_the_gateways_key_is_generated_and_kept_or_given_or_disabled(whole: list[Object]) -> None:
    secret = one(whole, "Secret", "desk-websocket-gateway-jwt")
    assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    other = external(websocketGateway__auth={"existingSecret": "mine", "secretKey": "key"})
    source = env(other, "websocket-gateway")["GATEWAY_JWT_SECRET"]["valueFrom"]["secretKeyRef"]
    assert source == {"name": "mine", "key": "key"}
    off = external(websocketGateway__auth={"enabled": False})
    assert "GATEWAY_JWT_SECRET" not in env(off, "websocket-gateway")
    assert not [item for item in other + off if item["kind"] == "Secret"]


def test_the_operators_role_is_the_documented_one(whole: list[Object]) -> None:
    sample = ROOT / "k8s" / "samples" / "operator-rbac.yaml"
    (role,) = (item for item in yaml.safe_load_all(sample.read_text()) if item["kind"] == "Role")
    text = yaml.safe_dump(role["rules"]).replace("streamdesk-operator", "desk-operator")
    assert one(whole, "Role", "desk-operator")["rules"] == yaml.safe_load(text)


def test_the_operator_may_do_more_only_where_a_value_names_it() -> None:
    objects = external(operator__targets=["mine"], operator__redisSecrets=["my-redis"])
    rules = one(objects, "Role", "desk-operator")["rules"]
    names = {
        tuple(rule["resources"]): rule["resourceNames"] for rule in rules if "resourceNames" in rule
    }
    assert names["deployments/scale", "statefulsets/scale"] == ["mine"]
    assert names["secrets",] == ["my-redis"]


def test_the_pool_reads_every_class_of_the_signals(whole: list[Object]) -> None:
    spec = one(whole, "ExecutorPool", "desk-order-executor")["spec"]
    assert spec["redis"]["streams"] == list(keys_of(TRADING_SIGNALS).streams)
    assert spec["targetRef"]["name"] == "desk-order-executor"
    assert ("backlogPerReplica" in spec) != ("drainSeconds" in spec)


def test_a_pool_without_an_operator_or_executors_is_not_made() -> None:
    for section in ("operator", "orderExecutor", "executorPool"):
        objects = external(**{f"{section}__enabled": False})
        assert not [item for item in objects if item["kind"] == "ExecutorPool"]


def test_a_test_is_made_only_for_what_is_installed() -> None:
    def tests_of(**values: bool) -> set[str]:
        objects = external(**values)
        return {item["metadata"]["name"] for item in objects if item["kind"] == "Pod"}

    gateway = {"desk-test-bus-round-trip", "desk-test-gateway-handshake"}
    orders, analysis = {"desk-test-signal-to-fill"}, {"desk-test-analyse-symbol"}
    assert tests_of(orderExecutor__enabled=False) == gateway | analysis
    assert tests_of(websocketGateway__enabled=False) == orders | analysis
    assert tests_of(analysis__enabled=False) == gateway | orders
    assert not tests_of(tests__enabled=False)


def test_exchanges_hours_apply_to_a_recording_and_not_to_the_simulated_market() -> None:
    assert settings(external(), "order-executor")["SESSIONS"] == "false"
    recorded = external(signalGenerator__settings__FEED="recorded")
    assert "SESSIONS" not in settings(recorded, "order-executor")
    asked = external(orderExecutor__settings__SESSIONS=True)
    assert settings(asked, "order-executor")["SESSIONS"] == "true"
