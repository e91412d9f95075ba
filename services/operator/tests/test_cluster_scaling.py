"""The operator on a real cluster: its process, its role, a real workload, a real Redis."""

import json
from collections.abc import Callable

from tests.pools import GROUP, STREAM, TARGET, Kube, Operator, deployment, pool, wait_until
from tests.servers import StreamServer

StartOperator = Callable[..., Operator]


def publish(redis: StreamServer, count: int) -> None:
    for number in range(count):
        redis.ask("XADD", STREAM, "*", "n", number)


def make_group(redis: StreamServer) -> None:
    redis.ask("XGROUP", "CREATE", STREAM, GROUP, "0", "MKSTREAM")


def take(redis: StreamServer, consumer: str, count: int) -> list[str]:
    words = ("XREADGROUP", "GROUP", GROUP, consumer, "COUNT", count, "STREAMS", STREAM, ">")
    answer = redis.ask(*words)
    return [row[0] for row in answer[0][1]] if answer else []


def work_off(redis: StreamServer) -> None:
    while ids := take(redis, "worker", 100):
        redis.ask("XACK", STREAM, GROUP, *ids)


def test_a_burst_scales_up_and_its_end_scales_down_again(
    kube: Kube, redis: StreamServer, start_operator: StartOperator
) -> None:
    make_group(redis)
    publish(redis, 35)
    kube.apply(deployment(), pool())
    operator = start_operator()
    kube.wait_for_replicas(4)
    wait_until(lambda: kube.status()["replicas"] == 4, lambda: str(kube.status()))
    status = kube.status()
    assert (status["unread"], status["desired"], status["lagSource"]) == (35, 4, "Lag")
    assert kube.condition("Ready") == "True/Following"
    shown = operator.metrics()
    labels = f'{{namespace="{kube.namespace}",pool="{TARGET}"}}'
    assert f"executorpool_unread{labels} 35.0" in shown
    assert "operator_lease_held 1.0" in shown
    work_off(redis)
    kube.wait_for_replicas(1)
    assert kube.reasons().count("ScaledUp") == 1


def test_entries_in_hand_count_and_a_missing_group_counts_what_is_there(
    kube: Kube, redis: StreamServer, start_operator: StartOperator
) -> None:
    publish(redis, 15)
    kube.apply(deployment(), pool())
    start_operator()
    kube.wait_for_replicas(2)
    make_group(redis)
    take(redis, "worker", 15)
    publish(redis, 10)
    kube.wait_for_replicas(3)
    wait_until(
        lambda: (kube.status()["unread"], kube.status()["pending"]) == (10, 15),
        lambda: str(kube.status()),
    )


def test_before_a_pool_shrinks_its_pods_are_priced_by_what_they_hold(
    kube: Kube, redis: StreamServer, start_operator: StartOperator
) -> None:
    make_group(redis)
    publish(redis, 3)
    kube.apply(deployment(3))
    kube("rollout", "status", f"deployment/{TARGET}", "--timeout=180s")
    busy = kube.items("pods")[1]["metadata"]["name"]
    consumer = f"order-executor-{busy}-0a1b2c"
    ids = take(redis, consumer, 3)
    kube.apply(pool(onExternalScale={"mode": "Revert"}))
    start_operator()

    def is_small() -> bool:  # and the consumer lives: it renews what it holds
        redis.ask("XCLAIM", STREAM, GROUP, consumer, 0, *ids, "JUSTID")
        return kube.replicas() == 1

    wait_until(is_small, lambda: str(kube.status()))
    wait_until(lambda: len(kube.items("pods")) == 1, "one pod left")
    left = kube.items("pods")[0]["metadata"]
    assert left["name"] == busy
    assert left["annotations"]["controller.kubernetes.io/pod-deletion-cost"] == "2"


def test_without_redis_the_size_is_held_and_said_to_be_unknown(
    kube: Kube, redis: StreamServer, start_operator: StartOperator
) -> None:
    make_group(redis)
    publish(redis, 25)
    kube.apply(deployment(), pool())
    start_operator()
    kube.wait_for_replicas(3)
    redis.stop()
    kube.wait_for_condition("MetricsAvailable", "False")
    assert kube.status()["lagSource"] == "Unknown"
    assert "unread" not in kube.status()
    assert kube.condition("Ready") == "False/MetricsUnavailable"
    redis.start()
    kube.wait_for_condition("MetricsAvailable", "True")
    assert kube.replicas() == 3
    assert kube.reasons().count("ScaledDown") == 0


def test_scaling_the_pool_pins_it_until_the_pin_is_taken_out(
    kube: Kube, redis: StreamServer, start_operator: StartOperator
) -> None:
    make_group(redis)
    kube.apply(deployment(), pool())
    start_operator()
    kube.wait_for_condition("Ready", "True")
    kube("scale", "executorpool", TARGET, "--replicas=3")
    kube.wait_for_replicas(3)
    assert kube.status()["override"] == {"by": "manualReplicas", "replicas": 3}
    assert kube.condition("Overridden").startswith("True")
    kube("patch", "xp", TARGET, "--type=merge", "-p", '{"spec":{"manualReplicas":null}}')
    kube.wait_for_replicas(1)


def test_scaling_the_workload_by_hand_is_honoured_then_said_then_over(
    kube: Kube, redis: StreamServer, start_operator: StartOperator
) -> None:
    make_group(redis)
    publish(redis, 15)
    kube.apply(deployment(), pool(onExternalScale={"holdSeconds": 20}))
    start_operator()
    kube.wait_for_replicas(2)
    wait_until(lambda: kube.status()["replicas"] == 2, "two replicas seen")
    kube("scale", "deployment", TARGET, "--replicas=1")
    kube.wait_for_condition("Overridden", "True")
    override = kube.status()["override"]
    assert override["replicas"] == 1
    assert "until" in override
    kube.wait_for_replicas(2)
    kube.wait_for_condition("Overridden", "False")


def test_paused_and_dry_run_pools_report_and_change_nothing(
    kube: Kube, redis: StreamServer, start_operator: StartOperator
) -> None:
    make_group(redis)
    publish(redis, 35)
    kube.apply(deployment(), pool(dryRun=True))
    start_operator()
    wait_until(lambda: kube.status().get("desired") == 4, lambda: str(kube.status()))
    kube("patch", "xp", TARGET, "--type=merge", "-p", '{"spec":{"dryRun":false,"paused":true}}')
    kube.wait_for_condition("Paused", "True")
    assert kube.replicas() == 1
    kube("patch", "xp", TARGET, "--type=merge", "-p", '{"spec":{"paused":false}}')
    kube.wait_for_replicas(4)


def test_another_autoscaler_of_the_workload_is_named_and_left_to_it(
    kube: Kube, redis: StreamServer, start_operator: StartOperator
) -> None:
    make_group(redis)
    publish(redis, 35)
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "rival"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": TARGET},
            "maxReplicas": 2,
        },
    }
    kube.apply(deployment(), autoscaler, pool())
    start_operator()
    kube.wait_for_condition("Ready", "False/ConflictingAutoscaler")
    assert kube.condition("ConflictingAutoscaler").startswith("True")
    wait_until(lambda: kube.reasons() == ["ConflictingAutoscaler"], lambda: str(kube.reasons()))
    assert kube.replicas() == 1
    kube("delete", "hpa", "rival")
    kube.wait_for_replicas(4)
    kube.wait_for_condition("Ready", "True")


def test_a_pool_without_its_workload_says_so_and_follows_once_it_is_there(
    kube: Kube, redis: StreamServer, start_operator: StartOperator
) -> None:
    make_group(redis)
    publish(redis, 15)
    kube.apply(pool())
    start_operator()
    kube.wait_for_condition("Ready", "False/TargetNotFound")
    kube.apply(deployment())
    kube.wait_for_replicas(2)
    kube.wait_for_condition("Ready", "True")


def test_a_pool_that_counts_on_another_server_takes_its_url_from_a_secret(
    kube: Kube,
    redis: StreamServer,
    start_server: Callable[..., StreamServer],
    start_operator: StartOperator,
) -> None:
    other = start_server()
    publish(other, 25)
    redis.stop()
    source = {"streams": [STREAM], "group": GROUP, "secretRef": {"name": "elsewhere"}}
    kube.apply(deployment(), pool(redis=source))
    start_operator()
    kube.wait_for_condition("Ready", "False/SecretForbidden")
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    step = [{"op": "add", "path": "/rules/-", "value": {**rule, "resourceNames": ["elsewhere"]}}]
    kube("patch", "role", "streamdesk-operator", "--type=json", "-p", json.dumps(step))
    kube.wait_for_condition("Ready", "False/SecretNotFound")
    kube("create", "secret", "generic", "elsewhere", f"--from-literal=url={other.url}")
    kube.wait_for_replicas(3)
