"""The analysis service in the cluster: its API, and one schedule for two replicas."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.analysis import COMPONENT, bar_files, leaders, listening, look, reach
from tests.e2e.desk import RELEASE, Desk
from tests.e2e.kube import wait_until

Tell = Callable[[str], None]
DEPLOYMENT = f"{RELEASE}-{COMPONENT}"
SERVICE = f"service/{DEPLOYMENT}"
SLOTS = 2
STOCKS = 200
PAIRS = ["BTCUSDT", "ETHUSDT"]


@pytest.fixture
def two(whole: Desk) -> Iterator[Desk]:
    """The desk with a second replica of the analysis."""
    whole.kube.run("scale", "deployment", DEPLOYMENT, "--replicas=2")
    whole.kube.wait_ready(COMPONENT, 2)
    yield whole
    whole.kube.run("scale", "deployment", DEPLOYMENT, "--replicas=1")
    whole.kube.wait_ready(COMPONENT, 1)


def test_a_symbol_and_a_batch_are_analysed_through_the_service(whole: Desk, tell: Tell) -> None:
    with reach(whole, SERVICE) as service:
        one = service.ask("analyze-symbol", {"symbol": "AAPL.US"})
        batch = service.ask("analyze-batch", {"symbols": ["AAPL.US", "700.HK", *PAIRS]})
        stats = service.ask("cache-stats")
    assert one["symbol"] == "AAPL.US"
    assert one["state"] in {"bullish", "bearish", "neutral"}
    assert (batch["succeeded"], batch["failed"]) == (4, 0), batch["errors"]
    assert stats["cache_type"] == "redis"
    assert set(PAIRS) < set(stats["symbols"])
    tell(f"{stats['cached_symbols']} symbols in the cache; AAPL.US is {one['state']}")


def test_bars_of_the_feed_are_kept_on_the_claim_when_the_pod_goes(whole: Desk) -> None:
    wait_until(lambda: bar_files(whole), "bars in the store")
    (pod,) = whole.kube.ready_pods(COMPONENT)
    whole.kube.kill(pod)
    wait_until(lambda: pod not in whole.kube.ready_pods(COMPONENT), f"the end of {pod}")
    whole.kube.wait_ready(COMPONENT, 1)
    assert bar_files(whole)


def test_two_replicas_fire_every_slot_once_and_continue_without_the_leader(
    two: Desk, tell: Tell
) -> None:
    pods = two.kube.ready_pods(COMPONENT)
    with ExitStack() as stack:
        replicas = [stack.enter_context(reach(two, f"pod/{pod}")) for pod in pods]
        wait_until(lambda: len(leaders(replicas)) == 1, "one leader")
        status = replicas[0].ask("scheduler/status")
        assert status["running"]
        assert status["symbols_count"] > 0
        every_seconds = status["interval_minutes"] * 60

        first = look(replicas)
        wait_until(
            lambda: (look(replicas).slot - first.slot).total_seconds() >= SLOTS * every_seconds,
            f"{SLOTS} more slots",
        )
        last = look(replicas)
        gone = round((last.slot - first.slot).total_seconds() / every_seconds)
        assert last.fired - first.fired == gone
        tell(f"{gone} slots, {last.fired - first.fired} fires by two replicas")

        (leader,) = leaders(replicas)
        other, at = replicas[1 - leader], last.slot
        two.kube.kill(pods[leader])
        # The other leads then, or the pod that takes the killed one's place: whoever is first.
        # The leader may have fired the slot after the last one that was seen, but not two.
        waited = wait_until(
            lambda: (look([other]).slot - at).total_seconds() >= SLOTS * every_seconds,
            "slots fired without the leader",
        )
        tell(f"leader killed: {SLOTS} slots further after {waited:.0f} s")


def test_changed_states_reach_the_gateways_socket(whole: Desk) -> None:
    with listening(whole, "events:indicators") as messages:
        changed = next(one for one in messages if one.get("event") == "HamaChanged")
    assert changed["data"]["state"] in {"bullish", "bearish", "neutral"}
    assert changed["data"]["symbol"]


def test_the_daily_job_computes_in_the_pod_and_its_end_reaches_the_socket(
    whole: Desk, tell: Tell
) -> None:
    with listening(whole, "events:tasks") as messages:
        words = ("/app/run", "indicators", "--fresh", "--simulate", str(STOCKS))
        output = whole.kube.run("exec", f"deploy/{DEPLOYMENT}", "--", *words)
        report = json.loads(output.splitlines()[-1])
        done = next(
            one
            for one in messages
            if one.get("event") == "TaskCompleted" and one["data"]["task_id"] == report["run_id"]
        )
    assert report["succeeded"], report
    assert report["stocks"] >= STOCKS
    tell(f"daily indicators of {report['stocks']} stocks: {done['data']['message']}")
