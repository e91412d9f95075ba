"""The simulation is correct: entries are conserved, the rules are those of the peers."""

import pytest

from tests.benchmarks.operator_bench import ratios, table
from tests.benchmarks.operator_runs import SCALERS, Result, flaps, is_wrong, run
from tests.benchmarks.operator_scalers import Hpa, Keda, observe
from tests.benchmarks.operator_traces import SECONDS, TRACES, Trace
from tests.benchmarks.operator_world import HAND, RATE, Faults, World

BY_NAME = {trace.name: trace for trace in TRACES}


def world(*, mean: float = 0, replicas: int = 1, faults: Faults | None = None) -> World:
    return World(1, [int(mean)] * (SECONDS + 1), faults or Faults(), replicas)


def steps(of: World, seconds: int) -> World:
    for _ in range(seconds):
        of.step()
    return of


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.name)
def test_every_entry_is_handled_or_still_in_the_stream(trace: Trace) -> None:
    arrivals = trace.arrivals(1)
    at_work = World(1, arrivals, trace.faults, replicas=3)
    for second in range(1, 1200):
        at_work.step()
        if second % 97 == 0:
            at_work.scale(1 + second % 7)
        assert at_work.done + at_work.undone == sum(arrivals[1 : second + 1])
        assert 0 <= at_work.pending <= at_work.delivered


def test_a_replica_handles_its_rate_and_a_new_one_starts_after_a_delay() -> None:
    at_work = steps(world(mean=100, replicas=2), 300)
    assert at_work.done / 300 == pytest.approx(2 * RATE, rel=0.05)
    at_work.scale(3)
    assert steps(at_work, 7).ready == 2
    assert steps(at_work, 25).ready == 3


def test_a_removed_pod_finishes_its_pending_entries() -> None:
    at_work = steps(world(mean=100, replicas=3), 10)
    at_work.scale(0)
    assert at_work.pending == 3 * HAND
    assert steps(at_work, 5).pending == 0


def test_the_entries_of_a_dead_pod_are_taken_over_after_the_lease() -> None:
    at_work = world(mean=30, faults=Faults(dies_at=50, lease_seconds=100))
    assert steps(at_work, 149).orphans == HAND
    assert steps(at_work, 1).orphans == 0


@pytest.mark.parametrize(
    ("metric", "wanted"),
    [(1_090, 10), (1_110, 12), (910, 10), (890, 10), (9_000, 20), (None, 10)],
)
def test_an_hpa_tolerates_a_tenth_limits_its_steps_and_waits_to_go_down(
    metric: float | None, wanted: int
) -> None:
    at_work = world(replicas=10)
    Hpa(target=100, least=1).sync(at_work, metric)
    assert at_work.replicas == wanted


def test_keda_goes_to_zero_on_a_nil_lag_after_its_cooldown_and_not_on_an_error() -> None:
    lags: list[tuple[float | None, int]] = [(None, 1), (-1.0, 0)]
    for lag, left in lags:
        at_work = world()
        at_work.now = 301
        Keda(Hpa(target=100, least=1), 1, min_replicas=0)._poll(at_work, lag)
        assert at_work.replicas == left


def test_our_scaler_sees_what_the_operators_adapter_would() -> None:
    cases = [
        (Faults(nil_lag=(0, 99)), 1000, True),
        (Faults(trimmed_from=0, overshoot=10_000), 2000, False),
        (Faults(gone=(15, 99)), None, False),
        (Faults(no_group=True), 2000, False),
    ]
    for faults, unread, least in cases:
        at_work = steps(world(mean=100, replicas=0, faults=faults), 20)
        seen = observe(at_work)
        assert (seen.unread, seen.unread_is_lower_bound) == (unread, least)


def test_turns_within_a_window_are_flaps() -> None:
    assert flaps([1, 2, 3, 2, 2, 3, 3, 1]) == 3
    assert flaps([1, 5, 5, 5, 2] + [2] * 400 + [5] * 400 + [1]) == 1


def test_a_scale_down_is_judged_by_the_true_backlog() -> None:
    at_work = world(replicas=2)
    at_work.unread = round(2 * RATE * 30)
    assert not is_wrong(at_work, 30)
    at_work.replicas = 1
    assert is_wrong(at_work, 30)
    at_work.replicas, at_work.unread, at_work.orphans = 0, 0, 1
    assert is_wrong(at_work, 30)


@pytest.mark.parametrize("name", ["burst", "nil lag", "redis gone", "silence"])
def test_ours_never_scales_down_wrongly_and_waits_less_than_the_peers(name: str) -> None:
    rows = {scaler: run(make, BY_NAME[name], 7, 30) for scaler, make in SCALERS.items()}
    assert rows["ours"].wrong_scale_downs == rows["ours by backlog"].wrong_scale_downs == 0
    assert rows["ours"].flaps <= 2
    backlog, replicas = ratios(rows)
    assert backlog <= 0.8
    assert replicas <= 1.1
    assert len(list(table(BY_NAME[name], rows))) == 6 + BY_NAME[name].is_burst


def test_a_run_gives_the_same_result_every_time() -> None:
    def once() -> Result:
        return run(SCALERS["ours"], BY_NAME["flood"], 7, 30)

    assert once() == once()
