"""Values, claims and leases beside the streams: which process has what, and which may write."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from streamdesk.bus import (
    Bus,
    BusConfig,
    BusConfigError,
    BusUnavailableError,
    ServerFullError,
    Wait,
)

LONG_SECONDS = 3600.0


@pytest.fixture
def name() -> str:
    return f"test:{secrets.token_hex(6)}"


async def until_gone(desk: Any, name: str) -> None:
    async with asyncio.timeout(60):
        while await desk.bus.keys.get(name) != [None]:
            await asyncio.sleep(0.01)


async def test_values_come_back_in_the_order_asked(desk: Any, name: str) -> None:
    keys = desk.bus.keys
    await keys.put({f"{name}:a": b"1", f"{name}:b": b"\x00\xff"})
    assert await keys.get(f"{name}:b", f"{name}:none", f"{name}:a") == [b"\x00\xff", None, b"1"]
    await keys.drop(f"{name}:a", f"{name}:none")
    assert await keys.get(f"{name}:a") == [None]
    assert await keys.get() == []
    for nothing in (keys.put({}), keys.drop(), keys.give_back([], "me")):
        await nothing
    assert await keys.claim([], "me", LONG_SECONDS) == []


async def test_a_value_with_a_life_vanishes_after_it(desk: Any, name: str) -> None:
    await desk.bus.keys.put({name: b"x"}, ttl_seconds=0.05)
    await until_gone(desk, name)
    await desk.bus.keys.put({name: b"x"}, ttl_seconds=LONG_SECONDS)
    await desk.bus.keys.put({name: b"y"})
    assert await desk.bus.keys.get(name) == [b"y"]


async def test_names_are_those_with_the_prefix_and_nothing_else(desk: Any, name: str) -> None:
    keys = desk.bus.keys
    await keys.put({f"{name}:*[x]?\\:1": b"", f"{name}:*[x]?\\:2": b"", f"{name}:ax:3": b""})
    assert await keys.names(f"{name}:*[x]?\\") == [f"{name}:*[x]?\\:1", f"{name}:*[x]?\\:2"]
    assert len(await keys.names(f"{name}:", limit=2)) == 2
    assert await keys.names(f"{name}:none") == []


async def test_a_claim_is_whose_came_first(desk: Any, name: str) -> None:
    keys = desk.bus.keys
    assert await keys.claim([f"{name}:1", f"{name}:2"], "first", LONG_SECONDS) == [True, True]
    assert await keys.claim([f"{name}:2", f"{name}:3"], "second", LONG_SECONDS) == [False, True]
    await keys.give_back([f"{name}:1", f"{name}:2", f"{name}:3"], "second")
    taken = await keys.claim([f"{name}:{at}" for at in (1, 2, 3)], "third", LONG_SECONDS)
    assert taken == [False, False, True]


async def test_a_claim_runs_out(desk: Any, name: str) -> None:
    assert await desk.bus.keys.claim([name], "died", 0.05) == [True]
    await until_gone(desk, name)
    assert await desk.bus.keys.claim([name], "heir", LONG_SECONDS) == [True]


async def test_of_many_that_want_a_lease_one_gets_it(desk: Any, name: str) -> None:
    leases = [desk.bus.keys.lease(name, LONG_SECONDS) for _ in range(30)]
    won = await asyncio.gather(*(lease.acquire() for lease in leases))
    assert won.count(True) == 1
    assert [lease.held for lease in leases] == won
    holder = leases[won.index(True)]
    assert await holder.acquire(), "asking again renews"
    assert holder.fence == 1


async def test_every_new_holder_has_a_greater_fence(desk: Any, name: str) -> None:
    fences = []
    for _ in range(3):
        lease = desk.bus.keys.lease(name, LONG_SECONDS)
        assert await lease.acquire()
        fences.append(lease.fence)
        await lease.release()
        assert not lease.held
    assert fences == [1, 2, 3]


async def test_a_lease_that_is_released_by_a_former_holder_stays_with_the_new_one(
    desk: Any, name: str
) -> None:
    former, present = (desk.bus.keys.lease(name, 0.05), desk.bus.keys.lease(name, LONG_SECONDS))
    assert await former.acquire()
    await until_gone(desk, name)
    assert await present.acquire()
    await former.release()
    assert not await former.acquire()
    assert await present.acquire()


async def test_a_holder_stops_counting_on_its_lease_before_it_runs_out(
    desk: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("streamdesk.bus.keys.time.monotonic", lambda: now)
    lease = desk.bus.keys.lease(name, 100)
    assert not lease.held
    assert await lease.acquire()
    now = 1074.9
    assert lease.held
    now = 1075.1
    assert not lease.held


async def test_only_the_holder_writes_and_only_over_what_it_knows(desk: Any, name: str) -> None:
    keys = desk.bus.keys
    lease, other = keys.lease(name, LONG_SECONDS), keys.lease(name, LONG_SECONDS)
    value = f"{name}:state"
    assert not await lease.put(value, b"early", expected=None), "it is not held"
    assert await lease.acquire()
    assert not await other.put(value, b"stolen", expected=None)
    assert await lease.put(value, b"1", expected=None)
    assert not await lease.put(value, b"2", expected=None), "there is a value now"
    assert not await lease.put(value, b"2", expected=b"0")
    assert await lease.put(value, b"", expected=b"1")
    assert await lease.put(value, b"3", expected=b""), "an empty value is a value"
    assert await keys.get(value) == [b"3"]


async def test_who_was_held_up_too_long_writes_nothing(desk: Any, name: str) -> None:
    slow, quick = desk.bus.keys.lease(name, 0.05), desk.bus.keys.lease(name, LONG_SECONDS)
    value = f"{name}:state"
    assert await slow.acquire()
    await until_gone(desk, name)
    assert not await slow.put(value, b"late", expected=None), "also while no other holds it"
    assert await quick.acquire()
    assert not await slow.put(value, b"late", expected=None)
    assert await quick.put(value, b"good", expected=None)


@pytest.mark.parametrize("life", [0, -1, float("inf"), float("nan")])
async def test_a_life_that_makes_no_sense_is_refused(desk: Any, name: str, life: float) -> None:
    with pytest.raises(BusConfigError, match="above 0"):
        desk.bus.keys.lease(name, life)
    with pytest.raises(BusConfigError, match="above 0"):
        await desk.bus.keys.put({name: b""}, ttl_seconds=life)


async def test_a_server_that_is_away_gives_no_lease_and_raises_for_the_rest(
    start_server: Callable[..., Any], name: str
) -> None:
    server = start_server()
    async with Bus.connect(BusConfig(url=server.url, service="test")) as bus:
        lease = bus.keys.lease(name, LONG_SECONDS)
        assert await lease.acquire()
        server.stop()
        assert not await lease.acquire()
        assert lease.held, "what we had is ours for what is left of it"
        assert not await bus.keys.lease(name, LONG_SECONDS).acquire()
        await lease.release()
        assert not lease.held
        for call in (
            bus.keys.get(name),
            bus.keys.put({name: b""}),
            bus.keys.names(name),
            bus.keys.claim([name], "me", LONG_SECONDS),
            lease.put(name, b"", expected=None),
        ):
            with pytest.raises(BusUnavailableError):
                await call
        assert not bus.connected


async def test_a_full_server_renews_leases_and_refuses_values(
    start_server: Callable[..., Any], name: str
) -> None:
    server = start_server()
    async with Bus.connect(BusConfig(url=server.url, service="test")) as bus:
        lease = bus.keys.lease(name, LONG_SECONDS)
        server.ask("CONFIG", "SET", "maxmemory", 1)
        assert await lease.acquire()
        with pytest.raises(ServerFullError):
            await bus.keys.put({name: b"x"})
        with pytest.raises(ServerFullError):
            await lease.put(f"{name}:state", b"x", expected=None)
        assert await lease.acquire()


async def test_a_lease_and_what_its_holder_wrote_outlive_the_master(
    sentinel: Any, name: str
) -> None:
    durable = Wait(replicas=1, timeout_ms=10_000)
    config = BusConfig(url=sentinel.url, service="test", durable=durable)
    async with Bus.connect(config) as bus:
        lease = bus.keys.lease(name, LONG_SECONDS)
        async with asyncio.timeout(60):
            while not await lease.acquire():
                await asyncio.sleep(0.05)
        assert await lease.put(f"{name}:state", b"1", expected=None)
        sentinel.kill_master()
        async with asyncio.timeout(60):
            while not await lease.acquire():
                await asyncio.sleep(0.05)
        assert lease.fence == 1
        assert not await bus.keys.lease(name, LONG_SECONDS).acquire()
        assert await bus.keys.get(f"{name}:state") == [b"1"]
