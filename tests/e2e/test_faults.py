"""A pod of every kind dies while signals arrive: nothing is lost, and the ledger balances."""

from collections.abc import Callable

import pytest

from tests.e2e.desk import PYTHON, RELEASE, SERVICES, Desk
from tests.e2e.kube import Object, wait_until

Tell = Callable[[str], None]
RATE = 10
SOME = 40
# Takes more memory than there is, in processes that are each smaller than the service's own, and
# offers that one to the kernel first: it ends the process that weighs most.
EAT = """
import os, pathlib, time
pathlib.Path("/proc/1/oom_score_adj").write_text("1000")
for _ in range(40):
    if os.fork() == 0:
        eaten = b"x" * 16_000_000
        break
time.sleep(600)
"""


@pytest.mark.parametrize("component", [*SERVICES, "postgres"])
def test_a_pod_killed_under_load_loses_no_signal_and_the_ledger_balances(
    whole: Desk, component: str, tell: Tell
) -> None:
    count = len(whole.kube.pods(component))
    victim = whole.kube.ready_pods(component)[0]
    uid = whole.kube.get("pod", victim)["metadata"]["uid"]
    with whole.load(RATE) as load:
        wait_until(lambda: len(load.acked) >= SOME, "some signals")
        whole.kube.kill(victim)
        wait_until(
            lambda: uid not in {pod["metadata"]["uid"] for pod in whole.kube.pods(component)},
            f"the end of {victim}",
        )
        back = whole.kube.wait_ready(component, count)
        before = len(load.acked)
        wait_until(lambda: len(load.acked) >= before + SOME, "more signals")
    behind = whole.wait_until_decided(load)
    whole.wait_until_books_agree()
    tell(
        f"{component} killed: ready again in {back:.0f} s; {len(load.acked)} signals, all "
        f"decided {behind:.0f} s after the last"
    )


def test_an_executor_without_memory_left_is_killed_and_started_again_and_nothing_is_lost(
    whole: Desk, tell: Tell
) -> None:
    victim = whole.kube.ready_pods("order-executor")[0]

    def last_end() -> Object:
        (status,) = whole.kube.get("pod", victim)["status"]["containerStatuses"]
        ended: Object = status["lastState"].get("terminated", {})
        return ended

    with whole.load(RATE) as load:
        wait_until(lambda: len(load.acked) >= SOME, "some signals")
        with pytest.raises(AssertionError, match="ended with"):
            whole.kube.run("exec", victim, "--", PYTHON, "-c", EAT)
        seconds = wait_until(
            lambda: last_end().get("reason") == "OOMKilled",
            "the end of the executor for want of memory",
            lambda: str(last_end()),
        )
        wait_until(
            lambda: victim in whole.kube.ready_pods("order-executor"), f"{victim} ready again"
        )
    behind = whole.wait_until_decided(load)
    whole.wait_until_books_agree()
    tell(
        f"executor OOM-killed ({RELEASE} saw it after {seconds:.0f} s); {len(load.acked)} "
        f"signals, all decided {behind:.0f} s after the last"
    )
