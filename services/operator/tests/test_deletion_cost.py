from hypothesis import given
from hypothesis import strategies as st

from streamdesk.operator.domain.deletion_cost import (
    HUNG_COST,
    HUNG_SECONDS,
    ConsumerLoad,
    changed_costs,
    deletion_costs,
)


def test_the_pod_that_holds_least_goes_first_and_a_hung_one_before_it() -> None:
    costs = deletion_costs(
        ["desk-a", "desk-b", "desk-c", "desk-d"],
        [
            ConsumerLoad("order-executor-desk-a-1f", 40, 0.2),
            ConsumerLoad("order-executor-desk-a-1f", 2, 0.2),
            ConsumerLoad("order-executor-desk-b-77", 3, 1.0),
            ConsumerLoad("order-executor-desk-d-90", 500, HUNG_SECONDS),
        ],
    )
    assert sorted(costs, key=lambda pod: costs[pod]) == ["desk-d", "desk-c", "desk-b", "desk-a"]
    assert costs["desk-d"] == HUNG_COST


def test_a_consumer_belongs_to_the_pod_with_the_longest_name_inside_its_own() -> None:
    loads = [
        ConsumerLoad("order-executor-desk-x-2-ab", 9, 0),
        ConsumerLoad("someone-else-1", 99, 0),
    ]
    assert deletion_costs(["desk-x", "desk-x-2", "desk"], loads) == {
        "desk-x": 0,
        "desk-x-2": 4,
        "desk": 0,
    }


def test_only_costs_that_differ_from_the_annotation_are_written() -> None:
    assert changed_costs({"a": 0, "b": 3, "c": 4}, {"a": None, "b": 3, "c": 2}) == {"c": 4}


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=8))
def test_a_pod_that_holds_twice_as_much_never_costs_less(held: list[int]) -> None:
    pods = [f"desk-{number}" for number in range(len(held))]
    loads = [ConsumerLoad(f"order-executor-{p}-z", n, 0) for p, n in zip(pods, held, strict=True)]
    costs = deletion_costs(pods, loads)
    for pod, count in zip(pods, held, strict=True):
        for other, fewer in zip(pods, held, strict=True):
            if count >= 2 * fewer:
                assert costs[pod] >= costs[other]
