import pytest

from streamdesk.console.adapters.processes import watchdog
from streamdesk.console.domain.restarts import RestartPolicy


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        (["+11\n", "+12\n"], {11, 12}),
        (["+11\n", "-11\n"], set()),
        (["-11\n", "+11\n"], {11}),
        (["nonsense\n", "\n", "+\n", "+x\n", "11\n"], set()),
    ],
)
def test_the_watchdog_lists_what_has_started_and_not_ended(
    lines: list[str], left: set[int]
) -> None:
    groups: set[int] = set()
    for line in lines:
        watchdog.apply(line, groups)
    assert groups == left


def test_a_process_that_keeps_dying_waits_longer_up_to_the_cap() -> None:
    policy = RestartPolicy(first_seconds=0.5, cap_seconds=15)
    waits = [policy.wait_seconds(failures) for failures in (1, 2, 3, 4, 5, 6, 1_000)]
    assert waits == [0.5, 1, 2, 4, 8, 15, 15]


def test_a_process_that_held_for_a_while_starts_from_the_first_wait_again() -> None:
    policy = RestartPolicy(steady_seconds=60)
    assert policy.failures(before=5, ran_seconds=59) == 6
    assert policy.failures(before=5, ran_seconds=60) == 1
