"""The twelve most frequent complaints about event libraries, tried on this bus.

 #  complaint                                       what answers it
 1  what a dead consumer held is never handled      every consumer looks for it, on every layout
 2  the lock of a killed reclaimer is never freed   no lock: the idle time decides, in one step
 3  slow handlers run twice                         leases are renewed; a fence for those cut off
 4  NOGROUP: consumers stop, spin or skip           the group is made again where it had finished
 5  clients dial a dead master for a minute         Sentinel's announcement is heard and believed
 6  a failover loses or repeats what was published  a durable publish waits, looks, then repeats
 7  a retry inside the client writes twice          a lost answer is looked up, never resent
 8  a blocking read trips the socket time-out       it blocks for half of that at the most
 9  streams grow without end, or lose unread ones   trimmed behind the slowest group; a hard cap
10  poison stops or kills consumers                 straight to the dead letters; the rest waits
11  rollouts strand batches and leave dead names    a stop gives back the rest; empty names go
12  priorities and order do not hold                a stream a class, one budget; an owner a shard
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from streamdesk.bus import (
    Bus,
    BusConfig,
    Message,
    NotDurableError,
    QueueFullError,
    Wait,
)
from streamdesk.bus.topic_keys import keys_of
from streamdesk.contracts.base import Consumer
from tests.chaos.scenes import (
    all_die,
    classes_of_a_full_backlog,
    deadly,
    deleted,
    frozen_beyond_its_lease,
    keys_of_a_dead_owner,
    publish_executed_late,
    slow_but_alive,
    stopped,
    unreadable,
)
from tests.chaos.stage import (
    HOUR_SECONDS,
    SOON_SECONDS,
    Listener,
    Recorder,
    Stage,
    once_each,
    tasks,
    until,
    until_asked,
)
from tests.chaos.victim import GROUP, KINDS, Task
from tests.proxy import Proxy
from tests.servers import LOOPBACK, SentinelCluster, StreamServer

BINARIES = {"valkey": None, "redis": "redis-server"}
with_cluster = pytest.mark.parametrize("stage", ["sentinel"], indirect=True)


@pytest.fixture(scope="module")
def server_of(start_server: Callable[..., StreamServer]) -> Callable[[str], StreamServer]:
    """One server of each kind; each test uses its own keys and repairs what it breaks."""
    return cache(lambda name: start_server(BINARIES[name]))


@pytest.fixture(params=BINARIES)
def stage(
    request: pytest.FixtureRequest, server_of: Callable[[str], StreamServer], tmp_path: Path
) -> Iterator[Stage]:
    if request.param == "sentinel":
        cluster: SentinelCluster = request.getfixturevalue("sentinel")
        stage = Stage(cluster.url, cluster.master, tmp_path)
    else:
        server = server_of(request.param)
        stage = Stage(server.url, lambda: server, tmp_path)
    yield stage
    stage.end()
    if request.param != "sentinel":
        stage.server().thaw()


@pytest.fixture
async def proxy(stage: Stage) -> AsyncIterator[Proxy]:
    async with Proxy(stage.server().port) as proxy:
        yield proxy


@pytest.fixture
def housekeeping_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamdesk.bus.consuming.consumer.TRIM_SECONDS", SOON_SECONDS)


@pytest.mark.parametrize("stage", [*BINARIES, "sentinel"], indirect=True)
async def test_01_what_a_killed_consumer_held_is_handled_by_another_in_every_topology(
    stage: Stage,
) -> None:
    topics = [stage.topic(kind) for kind in KINDS]
    recorder = Recorder()
    async with stage.bus() as bus:
        for topic in topics:
            await bus.publish_many(topic, tasks(6))
        victim = stage.victim(*KINDS)
        held = [(await stage.all_taken(bus, topic)).pending for topic in topics]
        victim.end()
        for topic in topics:
            await stage.age(topic)
        assert held == [6, 1, 6, 6], "a frame is one entry"
        async with asyncio.TaskGroup() as group:
            for topic in topics:
                group.create_task(_handle_all(stage, bus, topic, recorder))
    assert victim.lines("done") == []
    assert recorder.times == once_each(*KINDS, count=6)


async def _handle_all(stage: Stage, bus: Bus, topic: Any, recorder: Recorder) -> None:
    async with stage.consuming(bus, topic, recorder):
        lag = await stage.settled(bus, topic)
    assert lag.dead == 0


async def test_02_no_lock_outlives_a_killed_reclaimer_and_racing_reclaimers_never_overlap(
    stage: Stage,
) -> None:
    topic, recorder = stage.topic(), Recorder()
    async with stage.bus() as bus:
        await bus.publish_many(topic, tasks(40))
        owners = set()
        for _ in range(2):
            victim = stage.victim(batch=40)
            await until(lambda: len(victim.lines("begun")) == 16)  # noqa: B023 - awaited at once
            rows = await stage.pending(topic)
            victim.end()
            assert len(rows) == 40
            (owner,) = {row[1] for _, row in rows}
            owners.add(owner)
            await stage.age(topic)
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(_race(stage, topic, recorder))
        topic_keys = keys_of(topic)
        left = set(await stage.ask("KEYS", f"*{topic.key}*"))
    assert len(owners) == 2
    assert recorder.times == once_each("plain", count=40)
    assert {message.deliveries for message in recorder.seen} == {3}
    assert left <= {topic.key, topic_keys.trimmed, topic_keys.cursors(GROUP)}


async def _race(stage: Stage, topic: Any, recorder: Recorder) -> None:
    async with (
        stage.bus() as bus,
        stage.consuming(bus, topic, recorder, batch=4, concurrency=2),
    ):
        await stage.settled(bus, topic)


async def test_03_a_slow_handler_is_not_run_twice_and_a_frozen_one_is_fenced_off(
    stage: Stage,
) -> None:
    await slow_but_alive(stage)
    await frozen_beyond_its_lease(stage)


@pytest.mark.usefixtures("housekeeping_at_once")
async def test_04_a_lost_group_is_made_again_where_it_had_finished_and_said_so_once(
    stage: Stage,
) -> None:
    topic, proceed, listener = stage.topic(), asyncio.Event(), Listener()

    async def hold_one(message: Message[Task]) -> None:
        if message.event.number == 10:
            await proceed.wait()

    recorder = Recorder(hold_one)
    async with (
        stage.bus(listener) as bus,
        stage.consuming(bus, topic, recorder, batch=1, concurrency=1),
    ):
        ids = await bus.publish_many(topic, tasks(11))
        await recorder.has(11)
        cursors = keys_of(topic).cursors(GROUP)

        async def is_saved() -> bool:
            saved = await stage.ask("HGET", cursors, topic.key)
            return bool(saved) and _parts(saved) >= _parts(ids[9])

        await until_asked(is_saved)
        cursor = await stage.ask("HGET", cursors, topic.key)
        creations = await stage.calls("xgroup|create")
        await stage.ask("XGROUP", "DESTROY", topic.key, GROUP)
        await bus.publish_many(topic, tasks(5, first=11))
        proceed.set()
        await recorder.has(17)
        await stage.settled(bus, topic)
        assert recorder.numbers == [*range(11), *range(10, 16)], (
            "only pending messages were repeated"
        )
        await stage.ask("FLUSHALL")
        await bus.publish_many(topic, tasks(5, first=16))
        await recorder.has(22)
        await stage.settled(bus, topic)
        assert await stage.calls("xgroup|create") == creations + 2
    assert recorder.numbers[17:] == [16, 17, 18, 19, 20]
    assert listener.said == [
        ("recreated", "plain", GROUP, cursor),
        ("recreated", "plain", GROUP, "0-0"),
    ]


def _parts(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)


@with_cluster
@pytest.mark.parametrize("kind", ["frozen", "killed"])
async def test_05_a_failover_is_followed_at_its_announcement_and_the_lost_master_is_not_dialled(
    stage: Stage, sentinel: SentinelCluster, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, recorder, dialled = stage.topic(), Recorder(), _dialled(monkeypatch)
    # So long a time-out that a call to a frozen master can end by the announcement alone.
    async with (
        stage.bus(socket_timeout_seconds=10 * HOUR_SECONDS) as bus,
        stage.consuming(bus, topic, recorder),
    ):
        await bus.publish_many(topic, tasks(20), durable=Wait(replicas=2))
        await recorder.has(20)
        lost = await asyncio.to_thread(sentinel.master)
        await asyncio.to_thread(lost.freeze if kind == "frozen" else lost.kill)
        waiting = [asyncio.create_task(bus.publish(topic, one)) for one in tasks(10, first=20)]
        await asyncio.to_thread(sentinel.wait_for_another_master, lost)
        for _ in range(100):  # what was decided before needs some turns of the loop, but no time
            await asyncio.sleep(0)
        seen = len(dialled)
        await asyncio.gather(*waiting)
        await bus.publish_many(topic, tasks(10, first=30))
        await until(lambda: len(recorder.times) == 40)
        master = await asyncio.to_thread(sentinel.master)
        entries = await stage.ask("XLEN", topic.key)
    assert entries == 40
    assert master.port in dialled
    assert lost.port not in dialled[seen:]


def _dialled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The port of every connection that this process tries to make from now on."""
    loop, ports = asyncio.get_running_loop(), list[int]()
    connect = loop.create_connection

    async def note(protocol: Any, host: str, port: int, **options: Any) -> Any:
        assert host == LOOPBACK
        ports.append(port)
        return await connect(protocol, host, port, **options)

    monkeypatch.setattr(loop, "create_connection", note)
    return ports


@with_cluster
async def test_06_a_failover_neither_loses_nor_repeats_what_a_durable_publish_acknowledged(
    stage: Stage, sentinel: SentinelCluster
) -> None:
    topic, numbers, acked = stage.topic(durable=True), count(), list[int]()
    done = asyncio.Event()

    async def publish(bus: Bus) -> None:
        while not done.is_set():
            number = next(numbers)
            await bus.publish(topic, Task(number=number))
            acked.append(number)

    async with stage.bus(durable=Wait(replicas=2), socket_timeout_seconds=1) as bus:
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(publish(bus))
            await until(lambda: len(acked) >= 100)
            old = await asyncio.to_thread(sentinel.kill_master)
            await asyncio.to_thread(sentinel.wait_for_another_master, old)
            await asyncio.to_thread(sentinel.restart, old)
            enough = len(acked) + 100
            await until(lambda: len(acked) >= enough)
            done.set()
        written = [Task.model_validate_json(one["b"]) for one in await stage.read_all(topic.key)]
    assert Counter(one.number for one in written) == dict.fromkeys(acked, 1)
    async with stage.bus(publish_timeout_seconds=SOON_SECONDS) as bus:
        for node in sentinel.nodes:
            if node is not sentinel.master():
                node.kill()
        with pytest.raises(NotDurableError):
            await bus.publish(topic, Task(number=-1), durable=Wait(timeout_ms=10))


async def test_07_a_lost_answer_neither_repeats_a_publish_nor_strands_what_was_taken(
    stage: Stage, proxy: Proxy
) -> None:
    ways: dict[str, dict[str, Any]] = {
        "unbounded": {},
        "bounded": {"max_backlog": 100},
        "windowed": {"dedup_window_seconds": HOUR_SECONDS},
        "framed": {"mode": "frame"},
    }
    topics = [stage.topic(key=f"{stage.prefix}:{way}", **ways[way]) for way in ways]
    async with stage.bus(url=proxy.url, socket_timeout_seconds=1) as bus:
        await bus.ping()
        for topic in topics:
            for one in tasks(5):
                proxy.cut_answer_after(0)
                await bus.publish_many(topic, [one, one])
        assert proxy.cuts == 5 * len(ways)
        lengths = [await stage.ask("XLEN", topic.key) for topic in topics]
        assert lengths == [10, 10, 10, 5], "a frame is one entry"
        await publish_executed_late(stage, bus, proxy, topics[2])
        recorder = Recorder()
        cuts = proxy.cuts
        proxy.cut_answer_after(200)
        async with stage.bus() as direct, stage.consuming(bus, topics[0], recorder, batch=4):
            await stage.settled(direct, topics[0])
        assert proxy.cuts > cuts
    assert recorder.times == {("plain", number): 2 for number in range(5)}


async def test_08_an_idle_blocking_read_never_trips_the_socket_time_out_and_a_frozen_server_does(
    stage: Stage,
) -> None:
    assert all(
        BusConfig(socket_timeout_seconds=seconds).block_seconds <= seconds / 2
        for seconds in (0.01, 0.5, 2, 5, 600)
    )
    timeout_seconds, listener, recorder = 1.0, Listener(), Recorder()
    topics = [stage.topic(), stage.topic("classes")]  # two kinds of blocking reads
    async with (
        stage.bus(listener, socket_timeout_seconds=timeout_seconds) as bus,
        stage.consuming(bus, topics[0], recorder),
        stage.consuming(bus, topics[1], recorder) as subscription,
    ):
        await bus.publish(topics[0], Task(number=0))
        await bus.publish(topics[1], Task(number=0))
        await recorder.has(2)
        connections = await _connections(stage)
        await asyncio.sleep(1.5 * timeout_seconds)
        # None was dropped. Another may be there: for what is renewed or measured meanwhile.
        assert await _connections(stage) >= connections
        assert listener.said == []
        assert subscription.state == "running"
        stage.server().freeze()
        await until(lambda: not bus.connected)
        stage.server().thaw()
        for topic in topics:
            await bus.publish(topic, Task(number=1))
            await stage.settled(bus, topic)
    assert recorder.times == once_each("plain", "classes", count=2)
    assert listener.said == [("lost",), ("restored",)]


async def _connections(stage: Stage) -> set[str]:
    """The ids of the connections that buses have to the server."""
    rows = (await stage.ask("CLIENT", "LIST")).splitlines()
    return {row.split()[0] for row in rows if " name=streamdesk-test " in row}


@pytest.mark.usefixtures("housekeeping_at_once")
async def test_09_a_group_that_never_reads_stops_publishers_at_the_cap_and_loses_nothing(
    stage: Stage,
) -> None:
    groups = (Consumer("desk", GROUP), Consumer("archive", "sleepers"))
    topic = stage.topic(keep=50, hard_cap=200, consumers=groups)
    listener, recorder, proceed = Listener(), Recorder(), asyncio.Event()

    async def hold_one(message: Message[Task]) -> None:
        if message.event.number == 60:
            await proceed.wait()

    sleeper = Recorder(hold_one)
    async with stage.bus(listener) as bus, stage.consuming(bus, topic, recorder):
        await bus.publish_many(topic, tasks(200))
        await stage.settled(bus, topic)
        with pytest.raises(QueueFullError):
            await bus.publish(topic, Task(number=200))
        assert await stage.ask("XLEN", topic.key) == 200
        assert listener.said == [("cap", "plain", topic.key, 200, 200)]
        async with stage.consuming(bus, topic, sleeper, group="sleepers"):
            await sleeper.has(200)
            # All but the pending entry may be trimmed, and the one before it too, unless its id
            # comes right before.
            await until_asked(lambda: _has_length(stage, topic, 140, 141))
            assert json.loads((await stage.read_all(topic.key))[-140]["b"])["number"] == 60
            proceed.set()
            await until_asked(lambda: _has_length(stage, topic, 50))
            await bus.publish(topic, Task(number=200))
            await sleeper.has(201)
    assert recorder.times == sleeper.times == once_each("plain", count=201)


async def _has_length(stage: Stage, topic: Any, *lengths: int) -> bool:
    return await stage.ask("XLEN", topic.key) in lengths


async def test_10_poison_goes_straight_to_the_dead_letters_and_neither_stops_nor_kills_for_long(
    stage: Stage,
) -> None:
    await unreadable(stage)
    await deadly(stage)
    await all_die(stage)


@pytest.mark.usefixtures("housekeeping_at_once")
async def test_11_a_stop_or_a_deleted_name_in_mid_batch_strands_nothing_and_no_name_stays(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamdesk.bus.backends.redis.inspection.GONE_MS", 1000)
    await stopped(stage)
    await deleted(stage)


async def test_12_the_highest_class_comes_first_and_a_key_keeps_its_order_when_its_owner_dies(
    stage: Stage,
) -> None:
    await classes_of_a_full_backlog(stage)
    await keys_of_a_dead_owner(stage)
