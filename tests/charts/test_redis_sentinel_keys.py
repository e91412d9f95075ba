"""Plain keys beside the streams: who has some, and that nobody else touches them."""

import hiredis
import pytest

from tests.charts.redis_sentinel_clients import SERVICES, ask_as, bus_of
from tests.servers import StreamServer


@pytest.mark.parametrize("name", ["hama:analysis:AAPL.US", "analysis:scheduler:hama:state"])
async def test_the_analysis_has_keys_of_its_own_and_leases_on_them(
    server: StreamServer, name: str
) -> None:
    async with bus_of(server, "analysis") as bus:
        await bus.keys.put({name: b"1"}, 60)
        assert await bus.keys.get(name) == [b"1"]
        assert name in await bus.keys.names(name[:-2])
        await bus.keys.drop(name)
        assert await bus.keys.claim([name], "me", 60) == [True]
        await bus.keys.give_back([name], "me")
    for service in {*SERVICES} - {"analysis"}:
        for words in (("GET", name), ("SET", name, "1"), ("DEL", name)):
            with pytest.raises(hiredis.ReplyError, match="NOPERM"):
                ask_as(server, service, *words)


async def test_the_analysis_leads_its_schedule_by_a_fenced_lease(server: StreamServer) -> None:
    state = "analysis:scheduler:hama:state"
    async with bus_of(server, "analysis") as bus:
        lease = bus.keys.lease("analysis:scheduler:hama:lease", 60)
        assert await lease.acquire()
        assert await lease.acquire()
        assert await lease.put(state, b"1", expected=None)
        assert await lease.put(state, b"2", expected=b"1")
        await lease.release()
        await bus.keys.drop(state)


def test_only_the_analysis_sees_names_of_keys(server: StreamServer) -> None:
    for service in SERVICES:
        if service == "analysis":
            assert ask_as(server, service, "SCAN", 0)
            continue
        with pytest.raises(hiredis.ReplyError, match="NOPERM"):
            ask_as(server, service, "SCAN", 0)


async def test_the_alert_relay_has_a_book_and_a_fenced_lease_on_it(server: StreamServer) -> None:
    async with bus_of(server, "alert-relay") as bus:
        lease = bus.keys.lease("alert-relay:lease", 60)
        assert await lease.acquire()
        assert await lease.put("alert-relay:book", b"1", expected=None)
        assert await bus.keys.get("alert-relay:book") == [b"1"]
        await lease.release()
        await bus.keys.drop("alert-relay:book")
    for service in {*SERVICES} - {"alert-relay"}:
        with pytest.raises(hiredis.ReplyError, match="NOPERM"):
            ask_as(server, service, "SET", "alert-relay:book", "1")
