"""Several processes, one schedule: each slot once, whichever is killed, suspended or ended."""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.schedule_replicas import Replicas, minutes, wait_for

KILLS = int(os.environ.get("SCHEDULE_TEST_KILLS", "3"))


@pytest.fixture
def replicas(valkey_url: str, tmp_path: Path) -> Iterator[Replicas]:
    replicas = Replicas(valkey_url, tmp_path)
    yield replicas
    replicas.stop()


def test_of_a_leader_killed_in_its_slot_another_ends_the_same_fire(replicas: Replicas) -> None:
    replicas.start(3)
    replicas.hold(on=True)
    replicas.set_clock(minutes(5.1))
    leader = replicas.wait_for_begin_of(minutes(5)).pid
    replicas.kill(leader)
    successor = replicas.wait_for_begin_of(minutes(5), attempt=2).pid
    assert successor != leader
    replicas.hold(on=False)
    replicas.wait_for_end_of(minutes(5))
    replicas.set_clock(minutes(10.1))
    replicas.wait_for_end_of(minutes(10))
    assert replicas.fired() == {minutes(5): 1, minutes(10): 1}


def test_a_slot_that_begins_while_the_leader_is_dead_is_fired_once_by_another(
    replicas: Replicas,
) -> None:
    replicas.start(3)
    replicas.set_clock(minutes(5.1))
    leader = replicas.wait_for_begin_of(minutes(5)).pid
    replicas.wait_for_end_of(minutes(5))
    replicas.kill(leader)
    replicas.set_clock(minutes(10.1))
    assert replicas.wait_for_begin_of(minutes(10)).pid != leader
    replicas.wait_for_end_of(minutes(10))
    assert replicas.fired() == {minutes(5): 1, minutes(10): 1}


def test_a_leader_that_hung_in_its_slot_gives_up_what_another_has_resumed(
    replicas: Replicas,
) -> None:
    replicas.start(2)
    replicas.hold(on=True)
    replicas.set_clock(minutes(5.1))
    hung = replicas.wait_for_begin_of(minutes(5)).pid
    replicas.freeze(hung)
    replicas.wait_for_begin_of(minutes(5), attempt=2)
    replicas.thaw(hung)
    wait_for(lambda: any(note.pid == hung for note in replicas.notes("cancelled")), "its end")
    replicas.hold(on=False)
    replicas.wait_for_end_of(minutes(5))
    assert replicas.fired() == {minutes(5): 1}


def test_after_a_restart_of_all_only_what_was_missed_meanwhile_is_fired(
    replicas: Replicas,
) -> None:
    replicas.start(2)
    replicas.set_clock(minutes(5.1))
    replicas.wait_for_end_of(minutes(5))
    replicas.stop()
    replicas.start(2)
    replicas.set_clock(minutes(17))
    replicas.wait_for_end_of(minutes(15))
    replicas.set_clock(minutes(20.1))
    replicas.wait_for_end_of(minutes(20))
    assert replicas.fired() == {minutes(5): 1, minutes(15): 1, minutes(20): 1}


def test_whichever_fires_and_is_killed_at_whatever_moment_each_slot_is_fired_once(
    replicas: Replicas,
) -> None:
    dice = random.Random(20261120)
    replicas.start(2)
    slots = [minutes(5 * (number + 1)) for number in range(KILLS)]
    for slot in slots:
        replicas.set_clock(slot)
        time.sleep(dice.uniform(0, 0.4))
        begun = [note.pid for note in replicas.notes("begun") if note.pid in replicas.alive]
        replicas.kill(begun[-1] if begun else dice.choice(replicas.alive))
        replicas.start(1)
        replicas.wait_for_end_of(slot)
    assert replicas.fired() == dict.fromkeys(slots, 1)
