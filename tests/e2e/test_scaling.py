from collections.abc import Callable

from tests.e2e.desk import CHART, FILES, RELEASE, Desk
from tests.e2e.kube import Object, wait_until

Tell = Callable[[str], None]
EXECUTOR = f"{RELEASE}-order-executor"
BURST = 800


def pool(desk: Desk) -> Object:
    return desk.kube.get("executorpool", EXECUTOR)


def conditions(desk: Desk) -> dict[str, str]:
    found = pool(desk).get("status", {}).get("conditions", [])
    return {one["type"]: one["status"] for one in found}


def wait_until_automatic_at(desk: Desk, count: int) -> None:
    wait_until(
        lambda: desk.replicas() == count and conditions(desk).get("Overridden") == "False",
        f"{count} executors, sized by the operator",
        lambda: str(pool(desk).get("status")),
    )
    desk.kube.wait_ready("order-executor", count)


def test_manually_scaled_executors_share_the_load_and_an_upgrade_keeps_their_number(
    whole: Desk, tell: Tell
) -> None:
    least = pool(whole)["spec"]["minReplicas"]
    wait_until_automatic_at(whole, least)
    whole.kube.run("scale", "deployment", EXECUTOR, f"--replicas={least + 1}")
    seconds = whole.kube.wait_ready("order-executor", least + 1)
    tell(f"kubectl scale to {least + 1} executors: ready in {seconds:.0f} s")
    wait_until(
        lambda: conditions(whole).get("Overridden") == "True",
        "the condition Overridden, after an external change of the size",
        lambda: str(pool(whole).get("status")),
    )
    with whole.load(rate=10) as load:
        wait_until(lambda: len(load.acked) >= 40, "some signals")
        # Without waiting: the operator takes the size back when its hold is over.
        whole.kube.helm("upgrade", RELEASE, CHART, *FILES)
        assert whole.replicas() == least + 1
    whole.wait_until_decided(load)
    whole.wait_until_books_agree()
    wait_until_automatic_at(whole, least)


def test_a_burst_makes_the_operator_scale_up_then_down_and_no_order_is_doubled_or_lost(
    whole: Desk, tell: Tell
) -> None:
    least = pool(whole)["spec"]["minReplicas"]
    wait_until_automatic_at(whole, least)
    with whole.load(rate=0, count=BURST) as load:
        up = wait_until(
            lambda: whole.replicas() > least,
            "more executors",
            lambda: str(pool(whole).get("status")),
        )
        wait_until(lambda: load.finished, "the burst is published")
    drained = whole.wait_until_decided(load)
    down = wait_until(
        lambda: whole.replicas() == least,
        "as few executors as before",
        lambda: str(pool(whole).get("status")),
    )
    tell(
        f"burst of {len(load.acked)} signals: more executors after {up:.0f} s, decided "
        f"{drained:.0f} s after the last publish, {least} executors {down:.0f} s later"
    )
    assert load.unknown == {}
    whole.wait_until_books_agree()
