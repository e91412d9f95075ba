"""What is read from Redis, against a real server."""

from collections.abc import AsyncIterator, Callable

import pytest

from streamdesk.bus import Bus, BusConfig
from streamdesk.operator.adapters.streams.backlog import StreamSource, topics_of
from tests.servers import StreamServer

GROUP = "executors"


@pytest.fixture
def server(start_server: Callable[..., StreamServer]) -> StreamServer:
    return start_server()


@pytest.fixture
async def bus(server: StreamServer) -> AsyncIterator[Bus]:
    async with Bus.connect(BusConfig(url=server.url, service="operator", instance="t")) as bus:
        yield bus


def add(server: StreamServer, stream: str, count: int) -> list[str]:
    return [server.ask("XADD", stream, "*", "n", number) for number in range(count)]


def test_streams_of_one_topic_are_read_as_one_with_its_helpers() -> None:
    (topic,) = topics_of(["{trading:signals}:90", "{trading:signals}:80"], GROUP)
    assert (topic.key, topic.classes, topic.groups) == ("trading:signals", (80, 90), (GROUP,))
    (sharded,) = topics_of(["{ticks:1}", "{ticks:0}"], GROUP)
    assert (sharded.key, sharded.shards) == ("ticks", 2)


def test_any_other_name_is_a_stream_of_its_own() -> None:
    topics = topics_of(["mt5:events:news_raw", "{ticks:3}", "plain"], GROUP)
    assert [topic.key for topic in topics] == ["mt5:events:news_raw", "{ticks:3}", "plain"]


async def test_unread_and_in_hand_are_summed_over_the_streams(
    server: StreamServer, bus: Bus
) -> None:
    streams = ["{jobs}:90", "{jobs}:10", "other"]
    for stream in streams:
        add(server, stream, 5)
        server.ask("XGROUP", "CREATE", stream, GROUP, "0")
        server.ask("XREADGROUP", "GROUP", GROUP, "worker", "COUNT", 2, "STREAMS", stream, ">")
    seen = await StreamSource(bus, streams, GROUP).backlog()
    assert (seen.unread, seen.pending, seen.delivered, seen.error) == (9, 6, 6, None)
    held = await StreamSource(bus, streams, GROUP).loads()
    assert {row.consumer for row in held} == {"worker"}
    assert sum(row.pending for row in held) == 6


async def test_where_the_group_is_missing_all_entries_are_unread(
    server: StreamServer, bus: Bus
) -> None:
    add(server, "fresh", 7)
    seen = await StreamSource(bus, ["fresh"], GROUP).backlog()
    assert (seen.unread, seen.pending) == (7, 0)


async def test_a_deleted_unread_entry_hides_nothing_of_the_rest(
    server: StreamServer, bus: Bus
) -> None:
    ids = add(server, "cut", 20)
    server.ask("XGROUP", "CREATE", "cut", GROUP, "0")
    server.ask("XREADGROUP", "GROUP", GROUP, "worker", "COUNT", 5, "STREAMS", "cut", ">")
    server.ask("XDEL", "cut", ids[10])
    seen = await StreamSource(bus, ["cut"], GROUP).backlog()
    assert (seen.unread, seen.pending) == (14, 5)


async def test_a_trimmed_stream_has_no_more_unread_than_entries(
    server: StreamServer, bus: Bus
) -> None:
    add(server, "trimmed", 20)
    server.ask("XGROUP", "CREATE", "trimmed", GROUP, "0")
    server.ask("XTRIM", "trimmed", "MAXLEN", "=", 3)
    assert (await StreamSource(bus, ["trimmed"], GROUP).backlog()).unread == 3


async def test_without_a_stream_there_is_nothing_to_do(bus: Bus) -> None:
    seen = await StreamSource(bus, ["nowhere"], GROUP).backlog()
    assert (seen.unread, seen.pending, seen.error) == (0, 0, None)


async def test_a_server_that_is_away_is_an_error_and_not_a_zero(
    server: StreamServer, bus: Bus
) -> None:
    server.stop()
    assert (await StreamSource(bus, ["jobs"], GROUP).backlog()).error


async def test_a_key_of_another_kind_is_an_error_and_not_a_zero(
    server: StreamServer, bus: Bus
) -> None:
    server.ask("SET", "text", "x")
    assert (await StreamSource(bus, ["text"], GROUP).backlog()).error


async def test_nothing_is_written_by_looking(server: StreamServer, bus: Bus) -> None:
    add(server, "{jobs}:90", 5)
    before = sorted(server.ask("KEYS", "*"))
    source = StreamSource(bus, ["{jobs}:90"], GROUP)
    await source.backlog()
    await source.loads()
    assert sorted(server.ask("KEYS", "*")) == before
    assert server.ask("XINFO", "GROUPS", "{jobs}:90") == []


READS = (
    "+evalsha +script|load +xinfo|stream +xinfo|groups +xinfo|consumers +xpending +xlen +xrange "
    "+xrevrange +zcard +hgetall +hget +exists +time +ping +role +info +client|setname +client|id"
)


async def test_a_user_who_may_only_read_the_streams_is_enough(server: StreamServer) -> None:
    keys = ("~jobs*", "~{jobs}:*")
    server.ask("ACL", "SETUSER", "reader", "on", ">placeholder", "-@all", *READS.split(), *keys)
    ids = add(server, "{jobs}:90", 20)
    server.ask("XGROUP", "CREATE", "{jobs}:90", GROUP, "0")
    server.ask("XREADGROUP", "GROUP", GROUP, "w", "COUNT", 5, "STREAMS", "{jobs}:90", ">")
    server.ask("XDEL", "{jobs}:90", ids[10])  # so that the rest is counted entry by entry
    url = server.url.replace("redis://", "redis://reader:placeholder@")
    async with Bus.connect(BusConfig(url=url, service="operator", instance="t")) as bus:
        source = StreamSource(bus, ["{jobs}:90"], GROUP)
        seen = await source.backlog()
        assert (seen.unread, seen.pending, seen.error) == (14, 5, None)
        assert [row.pending for row in await source.loads()] == [5]
        assert (await StreamSource(bus, ["others"], GROUP).backlog()).error
