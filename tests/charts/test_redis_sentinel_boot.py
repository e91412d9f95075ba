"""Which pod becomes the master when pods start, end, come back, and lose their disks."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.charts.redis_sentinel_nodes import (
    LONGEST_WAIT_SECONDS,
    MASTER_NAME,
    Nodes,
    certificates,
    make_nodes,
    wait_until,
)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Three pods of a new set, running and whole."""
    with make_nodes(tmp_path) as made:
        made.start()
        made.wait_until_whole()
        yield made


def test_the_first_pod_of_a_new_set_is_the_master_and_the_others_follow(nodes: Nodes) -> None:
    assert nodes.master() is nodes.nodes[0]
    names = {node.ask_sentinel("MYID") for node in nodes.nodes}
    assert len(names) == 3
    for node in nodes.nodes:
        seen = node.ask_sentinel("SENTINELS", MASTER_NAME)
        known = {row[row.index("runid") + 1] for row in seen}
        assert known == names - {node.ask_sentinel("MYID")}


def test_a_master_that_comes_back_without_its_disk_does_not_wipe_its_replicas(nodes: Nodes) -> None:
    nodes.write("kept")
    old = nodes.master()
    old.end()
    old.lose_disk()
    old.start()  # before its loss is noticed
    wait_until(lambda: nodes.master() is not old, "another master")
    nodes.wait_until_whole()
    assert [node.ask("EXISTS", "kept") for node in nodes.nodes] == [1, 1, 1]


def test_a_master_that_comes_back_with_its_disk_lets_another_take_over(nodes: Nodes) -> None:
    nodes.write("kept")
    old = nodes.master()
    old.end()
    old.start()
    wait_until(lambda: nodes.master() is not old, "another master")
    nodes.wait_until_whole()
    assert old.role() == "slave"
    assert old.ask("EXISTS", "kept") == 1


def test_a_sentinel_is_the_same_to_the_others_after_it_lost_its_disk(nodes: Nodes) -> None:
    node = next(node for node in nodes.nodes if node is not nodes.master())
    name = node.ask_sentinel("MYID")
    node.end()
    node.lose_disk()
    node.start()
    nodes.wait_until_whole()
    assert node.ask_sentinel("MYID") == name
    for other in nodes.others(node):
        assert len(other.ask_sentinel("SENTINELS", MASTER_NAME)) == 2


def test_a_set_that_starts_as_a_whole_keeps_its_data(nodes: Nodes) -> None:
    nodes.write("kept")
    for node in nodes.nodes:
        node.end()
    nodes.start()
    nodes.wait_until_whole()
    assert nodes.master().ask("EXISTS", "kept") == 1


def test_a_set_whose_first_pod_lost_its_disk_while_all_were_down_keeps_its_data(
    nodes: Nodes,
) -> None:
    nodes.write("kept")
    assert nodes.master() is nodes.nodes[0]
    for node in nodes.nodes:
        node.end()
    nodes.nodes[0].lose_disk()
    nodes.start()
    nodes.wait_until_whole()
    assert nodes.master() is not nodes.nodes[0]
    assert [node.ask("EXISTS", "kept") for node in nodes.nodes] == [1, 1, 1]


def test_a_master_pod_stops_only_after_another_has_its_role(nodes: Nodes) -> None:
    nodes.write("kept")
    old = nodes.master()
    assert old.script("stop-redis.sh").wait(LONGEST_WAIT_SECONDS) == 0
    assert any(node.named() != old.address for node in nodes.others(old))
    old.end(number=signal.SIGTERM)
    assert nodes.master() is not old
    old.start()
    nodes.wait_until_whole()
    assert old.role() == "slave"


def test_a_replica_that_stops_does_not_move_the_role(nodes: Nodes) -> None:
    master = nodes.master()
    for node in nodes.others(master):
        assert node.script("stop-redis.sh").wait(LONGEST_WAIT_SECONDS) == 0
    assert nodes.master() is master


def test_a_set_installed_anew_on_its_old_disks_has_its_data_under_new_addresses(
    tmp_path: Path,
) -> None:
    with make_nodes(tmp_path) as nodes:
        nodes.start()
        nodes.write("kept")
        old = nodes.master()
        old.script("stop-redis.sh").wait(LONGEST_WAIT_SECONDS)
        old.end(number=signal.SIGTERM)
        last = nodes.master()
        old.start()
        nodes.wait_until_whole()
        for node in nodes.nodes:
            node.end()
    with make_nodes(tmp_path, network="127.0.1") as anew:
        anew.start()
        anew.wait_until_whole()
        assert last.ordinal != old.ordinal
        assert all(node.ask("EXISTS", "kept") == 1 for node in anew.nodes)


def test_a_pod_without_data_waits_alive_while_it_must_not_be_the_master(nodes: Nodes) -> None:
    nodes.write("kept")
    old, *_ = nodes.nodes
    assert nodes.master() is old
    for node in nodes.nodes:
        node.end()
    nodes.nodes[1].start()
    old.lose_disk()
    wait_until(lambda: nodes.nodes[1].named() == old.address, "the Sentinel's memory of the master")
    old.start()
    wait_until(lambda: "waiting for them to name another" in old.log(), "a server that waits")
    assert old.script("probe.sh", "redis-live").wait(LONGEST_WAIT_SECONDS) == 0
    assert old.script("probe.sh", "redis-ready").wait(LONGEST_WAIT_SECONDS) != 0
    nodes.nodes[2].start()
    nodes.wait_until_whole()
    assert nodes.master() is not old
    assert old.ask("EXISTS", "kept") == 1


def test_the_role_moves_over_tls_as_it_does_without(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on the PATH")
    with make_nodes(tmp_path, tls=certificates(tmp_path / "tls")) as nodes:
        nodes.start()
        nodes.write("kept")
        old = nodes.master()
        assert old.script("stop-redis.sh").wait(LONGEST_WAIT_SECONDS) == 0
        old.end(number=signal.SIGTERM)
        assert nodes.master() is not old
        assert nodes.master().ask("EXISTS", "kept") == 1
