"""Operators that come, go and die, on a real cluster."""

import time
from collections.abc import Callable

from tests.pools import GROUP, STREAM, TARGET, Kube, Operator, deployment, pool, wait_until
from tests.servers import StreamServer

StartOperator = Callable[..., Operator]


def publish(redis: StreamServer, count: int) -> None:
    for number in range(count):
        redis.ask("XADD", STREAM, "*", "n", number)


def acts(operator: Operator) -> bool:
    return "operator_lease_held 1.0" in operator.metrics()


def test_a_pool_is_deleted_at_once_while_no_operator_runs(
    kube: Kube,
    redis: StreamServer,  # noqa: ARG001 - of the operator
    start_operator: StartOperator,
) -> None:
    kube.apply(deployment(), pool())
    operator = start_operator()
    kube.wait_for_condition("Ready", "True")
    operator.kill()
    assert "finalizers" not in kube.pool()["metadata"]
    assert "annotations" not in kube.pool()["metadata"] or not any(
        "kopf" in name for name in kube.pool()["metadata"]["annotations"]
    )
    kube("delete", "executorpool", TARGET, "--timeout=120s")


def test_of_two_operators_one_acts_and_the_other_takes_over_when_it_dies(
    kube: Kube, redis: StreamServer, start_operator: StartOperator
) -> None:
    kube.apply(deployment(), pool())
    first = start_operator("first")
    wait_until(lambda: kube.holder() == "first", "the first operator holds the lease")
    kube.wait_for_condition("Ready", "True")
    second = start_operator("second")
    wait_until(lambda: '"started"' in second.log.read_text(), "the second operator runs")
    wait_until(lambda: 'operator_ticks_total{result="ok"}' in second.metrics(), "it target by")
    assert acts(first)
    assert not acts(second)
    first.kill()
    publish(redis, 15)
    kube.wait_for_replicas(2)
    assert kube.holder() == "second"
    assert acts(second)


def test_an_operator_that_is_stopped_releases_the_lease(
    kube: Kube, start_operator: StartOperator
) -> None:
    first = start_operator("first")
    wait_until(lambda: kube.holder() == "first", "the first operator holds the lease")
    assert first.stop() == 0
    assert kube.holder() == ""
    start_operator("second")
    wait_until(lambda: kube.holder() == "second", "the second operator holds the lease")


def test_an_operator_that_froze_does_not_act_when_it_wakes_up(
    kube: Kube, redis: StreamServer, start_operator: StartOperator
) -> None:
    kube.apply(deployment(), pool())
    first = start_operator("first")
    kube.wait_for_condition("Ready", "True")
    first.freeze()
    second = start_operator("second")
    wait_until(lambda: kube.holder() == "second", "the second operator holds the lease")
    publish(redis, 15)
    kube.wait_for_replicas(2)
    first.thaw()
    wait_until(lambda: '"lease lost"' in first.log.read_text(), "it sees that it lost the lease")
    assert not acts(first)
    assert acts(second)


def test_a_restart_keeps_the_history_and_takes_no_change_of_ours_for_anothers(
    kube: Kube, redis: StreamServer, start_operator: StartOperator
) -> None:
    redis.ask("XGROUP", "CREATE", STREAM, GROUP, "0", "MKSTREAM")
    publish(redis, 35)
    slowly = {"scaleDown": {"stabilizationWindowSeconds": 3600}}
    kube.apply(deployment(), pool(behavior=slowly))
    first = start_operator("first")
    kube.wait_for_replicas(4)
    first.kill()
    before = kube.status()
    rows = redis.ask("XREADGROUP", "GROUP", GROUP, "w", "COUNT", 100, "STREAMS", STREAM, ">")
    redis.ask("XACK", STREAM, GROUP, *[row[0] for row in rows[0][1]])
    started_at = time.time()
    start_operator("second")
    wait_until(lambda: kube.status()["unread"] == 0, lambda: str(kube.status()))
    status = kube.status()
    assert status["lastScaleTime"] == before["lastScaleTime"]
    oldest = status["history"]["recommendations"][0]
    assert oldest["replicas"] == 4
    assert oldest["atSeconds"] < started_at
    assert "override" not in status
    assert status["lastDecision"]["reason"] == "Stabilizing"
    assert kube.replicas() == 4
    assert "ExternallyScaled" not in kube.reasons()
