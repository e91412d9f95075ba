"""Slots: which are due, what becomes of missed ones, and none twice."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdesk.analysis.domain.cron import Cron
from streamdesk.analysis.domain.slots import (
    MOST_SLOTS,
    MOST_STRETCHES,
    Every,
    Firing,
    Misfire,
    SlotState,
    decide,
    slots_between,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday
FIVE = Every(300)
GRACE = timedelta(seconds=60)


def minutes(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


def fire(state: SlotState, slot: datetime) -> SlotState:
    return state.firing(Firing(slot=slot, by="me", fence=1, fired_at=slot), FIVE, 0)


def due(state: SlotState, now: datetime, since: datetime | None = None) -> list[datetime]:
    return state.due(FIVE, now, since)


def test_slots_are_multiples_of_the_interval_and_the_next_one_is_later_than_now() -> None:
    assert FIVE.after(minutes(0)) == minutes(5)
    assert FIVE.after(minutes(4.99)) == minutes(5)
    assert Every(1.5).after(NOON) == NOON + timedelta(seconds=1.5)


def test_an_interval_below_a_second_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.5 s: expected at least"):
        Every(0.5)


def test_slots_between_are_those_after_the_first_moment_up_to_the_second() -> None:
    assert slots_between(FIVE, minutes(0), minutes(10)) == [minutes(5), minutes(10)]
    assert slots_between(FIVE, minutes(10), minutes(0)) == []


def test_of_a_gap_of_years_the_latest_slots_are_found_at_once() -> None:
    class Counted(Every):
        asked = 0

        def after(self, moment: datetime) -> datetime:
            Counted.asked += 1
            return Every.after(self, moment)

    slots = slots_between(Counted(300), NOON - timedelta(days=3_000), NOON)
    assert (len(slots), slots[-1]) == (MOST_SLOTS, NOON)
    assert Counted.asked < 10 * MOST_SLOTS


@pytest.mark.parametrize(
    ("policy", "fired", "missed"),
    [
        (Misfire.SKIP, [], 3),
        (Misfire.ONCE, [15], 2),
        (Misfire.ALL, [5, 10, 15], 0),
    ],
)
def test_the_policy_decides_about_late_slots(
    policy: Misfire, fired: list[int], missed: int
) -> None:
    slots = [minutes(5), minutes(10), minutes(15)]
    todo = decide(slots, policy, minutes(17), GRACE)
    assert list(todo.fire) == [minutes(number) for number in fired]
    assert todo.missed == missed


def test_a_slot_within_the_grace_is_fired_even_when_late_ones_are_skipped() -> None:
    todo = decide([minutes(5), minutes(10)], Misfire.SKIP, minutes(10.9), GRACE)
    assert (list(todo.fire), todo.missed) == ([minutes(10)], 1)


def test_nothing_due_is_nothing_to_do() -> None:
    for policy in Misfire:
        assert decide([], policy, NOON, GRACE).fire == ()


def test_slots_before_the_first_look_are_not_due() -> None:
    assert due(SlotState(seen=minutes(7)), minutes(9)) == []
    assert due(SlotState(seen=minutes(7)), minutes(11)) == [minutes(10)]


def test_slots_that_passed_while_it_was_stopped_are_not_due() -> None:
    state = fire(SlotState(seen=NOON), minutes(5))
    assert due(state, minutes(31), since=minutes(28)) == [minutes(30)]
    assert due(state, minutes(29), since=minutes(28)) == []


def test_after_a_jump_forwards_and_back_no_slot_comes_twice_and_the_others_still_come() -> None:
    state = fire(SlotState(seen=NOON), minutes(5))
    ahead = due(state, minutes(61))
    assert ahead[-1] == minutes(60)
    state = fire(state, minutes(60))
    assert due(state, minutes(7)) == []
    assert due(state, minutes(10)) == [minutes(10)]
    state = fire(state, minutes(10))
    assert state.next_after(FIVE, minutes(54)) == minutes(55)
    assert state.next_after(FIVE, minutes(55)) == minutes(65), "60 is fired already"


def test_a_clock_set_back_behind_everything_knows_of_nothing_to_do() -> None:
    state = SlotState(seen=minutes(30))
    assert state.dealt_with(minutes(1)) is None
    assert due(state, minutes(1)) == []
    again = state.passing(minutes(1), 0)
    assert due(again, minutes(6)) == [minutes(5)]


def test_slots_in_a_row_are_remembered_as_one_stretch() -> None:
    state = SlotState(seen=NOON)
    for number in range(5, 2_000, 5):
        state = fire(state, minutes(number))
    assert state.fired == ((minutes(5), minutes(1_995)),)


def test_memory_is_bounded_and_rather_leaves_a_slot_out_than_fires_it_twice() -> None:
    state, slots = SlotState(seen=NOON), [minutes(10 * number) for number in range(1, 200)]
    for slot in slots:
        state = fire(state, slot)
    assert len(state.fired) == MOST_STRETCHES
    assert all(state.has_fired(slot) for slot in slots)


def test_the_state_survives_being_written_down() -> None:
    state = fire(SlotState(seen=NOON), minutes(5)).passing(minutes(20), 3)
    assert SlotState.model_validate_json(state.model_dump_json()) == state


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(-7_200, 7_200), min_size=1, max_size=60),
    st.sampled_from(list(Misfire)),
)
def test_whatever_the_clock_does_no_slot_is_fired_twice_or_before_its_time(
    jumps: list[int], policy: Misfire
) -> None:
    now, state, fired = NOON, SlotState(seen=NOON), list[datetime]()
    for jump in jumps:
        now += timedelta(seconds=jump)
        if state.dealt_with(now) is None:
            state = state.passing(now, 0)
        found = due(state, now)
        todo = decide(found, policy, now, GRACE)
        for slot in todo.fire:
            assert slot <= now
            fired.append(slot)
            state = fire(state, slot)
        if found and not todo.fire:
            state = state.passing(found[-1], todo.missed)
    assert len(fired) == len(set(fired))
    assert all(state.has_fired(slot) for slot in fired)


def test_time_after_a_jump_back_is_not_left_without_fires() -> None:
    state = fire(SlotState(seen=NOON), minutes(60))
    now = minutes(-60)
    state = state.passing(now, 0) if state.dealt_with(now) is None else state
    fired = []
    for number in range(-59, 70):
        for slot in decide(due(state, minutes(number)), Misfire.ONCE, minutes(number), GRACE).fire:
            state = fire(state, slot)
            fired.append(slot)
    assert fired == [minutes(number) for number in range(-55, 70, 5) if number != 60]


def days(line: str, count: int) -> list[str]:
    cron, moment, found = Cron(line), NOON, list[str]()
    while len(found) < count:
        slot = cron.after(moment)
        assert slot is not None
        assert slot > moment
        found.append(f"{slot:%a %d %H:%M}")
        moment = slot
    return found


def test_weekdays_are_those_of_cron() -> None:
    assert days("30 22 * * 1-5", 3) == ["Fri 20 22:30", "Mon 23 22:30", "Tue 24 22:30"]
    assert (
        days("0 0 * * 0", 1) == days("0 0 * * 7", 1) == days("0 0 * * sun", 1) == ["Sun 22 00:00"]
    )
    assert days("0 0 * * fri-mon", 3) == ["Sat 21 00:00", "Sun 22 00:00", "Mon 23 00:00"]
    assert days("0 0 * * */2", 3) == ["Sat 21 00:00", "Sun 22 00:00", "Tue 24 00:00"]


def test_of_a_day_of_the_month_and_a_weekday_either_is_enough() -> None:
    assert days("0 0 25 * mon", 3) == ["Mon 23 00:00", "Wed 25 00:00", "Mon 30 00:00"]


def test_a_slot_of_a_cron_line_is_later_than_the_moment_before_it() -> None:
    assert days("0 12 * * *", 1) == ["Sat 21 12:00"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "0 fields; expected five"),
        ("* * * *", "4 fields"),
        ("60 * * * *", "higher than the maximum"),
        ("* * * * 8", "not a weekday; expected 0 to 7"),
        ("* * * * 1/0", "not a step"),
        ("0 0 30 2 *", "never comes"),
    ],
)
def test_what_is_not_a_cron_line_is_refused_with_the_reason(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Cron(line)
