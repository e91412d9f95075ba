"""What a server refuses, and what that means to the caller: on servers that really refuse."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import hiredis
import pytest

from streamdesk.bus import (
    Bus,
    BusConfig,
    BusConfigError,
    BusError,
    BusUnavailableError,
    Dead,
    ServerFullError,
)
from streamdesk.bus.connection.refusals import (
    GroupLostError,
    MasterMovedError,
    ScriptUnknownError,
    refusal,
)
from streamdesk.bus.connection.server import Server
from streamdesk.bus.observer import BusObserver

GROUP = "workers"
LOOPBACK = "127.0.0.1"
SECRET = "s3cret"  # noqa: S105 - of a server that lives for a second


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("LOADING Redis is loading the dataset in memory", BusUnavailableError),
        ("BUSY Redis is busy running a script.", BusUnavailableError),
        ("MISCONF Redis is configured to save RDB snapshots, but", BusUnavailableError),
        ("NOREPLICAS Not enough good replicas to write.", BusUnavailableError),
        ("TRYAGAIN Multiple keys request during rehashing of slot", BusUnavailableError),
        ("CLUSTERDOWN The cluster is down", BusUnavailableError),
        ("ERR max number of clients reached", BusUnavailableError),
        ("READONLY You can't write against a read only replica.", MasterMovedError),
        ("MASTERDOWN Link with MASTER is down", MasterMovedError),
        ("UNBLOCKED force unblock from blocking operation", MasterMovedError),
        ("OOM command not allowed when used memory > 'maxmemory'.", ServerFullError),
        ("NOGROUP No such key 'a' or consumer group 'b'", GroupLostError),
        ("NOSCRIPT No matching script. Please use EVAL.", ScriptUnknownError),
        ("NOAUTH Authentication required.", BusConfigError),
        ("WRONGPASS invalid username-password pair", BusConfigError),
        ("NOPERM User u has no permissions", BusConfigError),
        ("ERR unknown command", BusError),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", BusError),
        ("", BusError),
    ],
)
def test_the_first_word_of_an_error_answer_says_what_to_raise(
    text: str, kind: type[BusError]
) -> None:
    error = refusal(hiredis.ReplyError(text))
    assert type(error) is kind
    assert text in str(error)


class Listener(BusObserver):
    """Notes what is said about the connection."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def connection_lost(self, error: str) -> None:
        self.said.append(error.partition(" ")[0])

    def connection_restored(self, outage_seconds: float) -> None:  # noqa: ARG002 - the protocol's
        self.said.append("restored")


@pytest.fixture(params=[None, "redis-server"], ids=["valkey", "redis"])
def there(request: pytest.FixtureRequest, start_server: Callable[..., Any]) -> Iterator[Any]:
    server = start_server(request.param)
    yield server
    if server.is_up:
        server.kill()


@pytest.fixture
def replica(request: pytest.FixtureRequest, there: Any, start_server: Callable[..., Any]) -> Any:
    """A second server of the same kind, which follows the first."""
    there.ask("CONFIG", "SET", "repl-diskless-sync-delay", 0)
    server = start_server(request.node.callspec.params["there"])
    server.ask("REPLICAOF", LOOPBACK, there.port)
    return server


def with_login(url: str, login: str) -> str:
    return url.replace("redis://", f"redis://{login}@")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def server_of(url: str) -> AsyncIterator[Server]:
    server = Server(BusConfig(url=url))
    try:
        async with asyncio.timeout(30):
            yield server
    finally:
        await server.close()


async def refused(url: str, *words: str) -> BusError:
    """The error of one command."""
    async with server_of(url) as server:
        with pytest.raises(BusError) as caught:
            server.checked((await server.send([words]))[0])
    return caught.value


@asynccontextmanager
async def consuming(bus: Bus, topic: Any, handler: Any, **options: Any) -> AsyncIterator[Any]:
    stop = asyncio.Event()
    subscription = bus.subscribe(topic, GROUP, handler, **options)
    task = asyncio.create_task(subscription.run(stop))
    try:
        yield subscription
    finally:
        stop.set()
        await task


async def test_a_publish_to_a_replica_waits_until_it_is_the_master(
    replica: Any, topic: Any, ping: Any
) -> None:
    listener = Listener()
    await until(lambda: replica.info("replication")["master_link_status"] == "up")
    assert isinstance(await refused(replica.url, "SET", "a", "1"), MasterMovedError)
    async with Bus.connect(BusConfig(url=replica.url), listener) as bus:
        publishing = asyncio.create_task(bus.publish(topic, ping(text="x")))
        await until(lambda: not bus.connected)
        replica.ask("REPLICAOF", "NO", "ONE")
        await publishing
        assert [m.event.text for m in await bus.waiting(topic, GROUP)] == ["x"]
    assert listener.said == ["READONLY", "restored"]


async def test_an_answer_of_a_server_that_is_no_master_ends_all_connections(
    replica: Any,
) -> None:
    async with server_of(replica.url) as server:
        read = ("XREAD", "BLOCK", "20000", "STREAMS", "a", "$")
        reading = asyncio.create_task(server.send_blocking(read, 20))
        (answer,) = await server.send([("SET", "a", "1")])
        await until(lambda: len(server._all) == 2)
        with pytest.raises(MasterMovedError):
            server.checked(answer)
        with pytest.raises(BusUnavailableError, match="READONLY"):
            await reading
        assert (await server.send([("PING",)])) == [b"PONG"]


async def test_a_replica_that_lost_its_master_is_waited_for(
    there: Any, replica: Any, topic: Any, ping: Any
) -> None:
    listener = Listener()
    await until(lambda: replica.info("replication")["master_link_status"] == "up")
    async with Bus.connect(BusConfig(url=there.url)) as bus:
        await bus.publish(topic, ping(text="x"))
    await until(lambda: replica.ask("EXISTS", topic.key) == 1)
    replica.ask("CONFIG", "SET", "replica-serve-stale-data", "no")
    there.kill()
    await until(lambda: replica.info("replication")["master_link_status"] == "down")
    assert isinstance(await refused(replica.url, "GET", "a"), MasterMovedError)
    async with Bus.connect(BusConfig(url=replica.url), listener) as bus:
        tail = bus.tail(topic, since="0")
        following = asyncio.ensure_future(anext(tail))
        await until(lambda: not bus.connected)
        replica.ask("REPLICAOF", "NO", "ONE")
        assert (await following).event.text == "x"
        await tail.aclose()
    assert listener.said == ["MASTERDOWN", "restored"]


async def test_a_consumer_whose_server_becomes_a_replica_resumes_when_it_is_the_master_again(
    there: Any, topic: Any, ping: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, handler = Listener(), recorder()
    async with Bus.connect(BusConfig(url=there.url, lease_seconds=3600), listener) as bus:
        answers: list[str] = []
        block = bus._backend.take_or_wait

        async def note(*words: Any) -> Any:
            try:
                return await block(*words)
            except BusError as error:
                answers.append(type(error).__name__)
                raise

        monkeypatch.setattr(bus._backend, "take_or_wait", note)
        async with consuming(bus, topic, handler):
            await until(lambda: "blocked_clients:1" in there.ask("INFO", "clients"))
            there.ask("REPLICAOF", LOOPBACK, 1)
            await until(lambda: not bus.connected)
            there.ask("REPLICAOF", "NO", "ONE")
            await bus.publish(topic, ping(text="x"))
            await handler.has(1)
    assert handler.texts == ["x"]
    assert answers[0] == "MasterMovedError"
    assert listener.said == ["UNBLOCKED", "restored"]


async def test_a_publish_waits_for_the_replicas_that_its_server_wants(
    there: Any, topic: Any, ping: Any
) -> None:
    listener = Listener()
    there.ask("CONFIG", "SET", "min-replicas-to-write", 1)
    error = await refused(there.url, "SET", "a", "1")
    assert (type(error), str(error).split()[0]) == (BusUnavailableError, "NOREPLICAS")
    async with Bus.connect(BusConfig(url=there.url), listener) as bus:
        publishing = asyncio.create_task(bus.publish(topic, ping(text="x")))
        await until(lambda: not bus.connected)
        there.ask("CONFIG", "SET", "min-replicas-to-write", 0)
        await publishing
        assert [m.event.text for m in await bus.waiting(topic, GROUP)] == ["x"]
    assert listener.said == ["NOREPLICAS", "restored"]


async def test_a_busy_server_is_waited_for(there: Any, topic: Any, ping: Any) -> None:
    listener = Listener()
    there.ask("CONFIG", "SET", "busy-reply-threshold", 1)
    script = asyncio.create_task(
        asyncio.to_thread(there.ask, "EVAL", "while true do end", 0, timeout_seconds=30)
    )
    async with Bus.connect(BusConfig(url=there.url), listener) as bus:
        while await bus.ping():
            await asyncio.sleep(0.005)
        publishing = asyncio.create_task(bus.publish(topic, ping(text="x")))
        there.ask("SCRIPT", "KILL")
        await publishing
    with pytest.raises(hiredis.ReplyError):
        await script
    assert listener.said == ["BUSY", "restored"]


async def test_a_server_with_too_many_clients_is_waited_for(
    there: Any, topic: Any, ping: Any
) -> None:
    listener = Listener()
    async with (
        server_of(there.url) as first,
        Bus.connect(BusConfig(url=there.url), listener) as bus,
    ):
        await first.send([("CONFIG", "SET", "maxclients", 1)])
        publishing = asyncio.create_task(bus.publish(topic, ping(text="x")))
        await until(lambda: not bus.connected)
        assert not publishing.done()
        await first.send([("CONFIG", "SET", "maxclients", 1000)])
        await publishing
    assert listener.said[-1] == "restored"
    assert len(listener.said) == 2


async def test_a_full_server_refuses_failures_until_it_has_room_and_acknowledges_meanwhile(
    there: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    filled = asyncio.Event()

    async def judge(message: Any) -> Dead | None:
        await filled.wait()
        return Dead("ill") if message.event.text == "ill" else None

    handler = recorder(judge)
    async with Bus.connect(BusConfig(url=there.url)) as bus, consuming(bus, topic, handler):
        await bus.publish_many(topic, [ping(text="ill"), ping(text="well")])
        await handler.has(2)
        there.ask("CONFIG", "SET", "maxmemory", 1)
        assert isinstance(await refused(there.url, "SET", "a", "1"), ServerFullError)
        filled.set()
        async with asyncio.timeout(30):
            while (await bus.lag(topic))[0].pending != 1:  # the good one is acknowledged
                await asyncio.sleep(0.005)
        assert await bus.dead(topic) == []
        there.ask("CONFIG", "SET", "maxmemory", 0)
        async with asyncio.timeout(30):
            while (await bus.lag(topic))[0].pending:
                await asyncio.sleep(0.005)
        (dead,) = await bus.dead(topic)
        assert dead.letter.reason == "ill"
    assert len(handler.seen) == 2


async def test_a_group_or_a_script_that_is_not_there_is_known_as_such(there: Any) -> None:
    there.ask("XADD", "a", "*", "b", "c")
    lost = await refused(there.url, "XREADGROUP", "GROUP", "g", "c", "STREAMS", "a", ">")
    assert isinstance(lost, GroupLostError)
    there.ask("SCRIPT", "FLUSH")
    unknown = await refused(there.url, "EVALSHA", "0" * 40, "0")
    assert isinstance(unknown, ScriptUnknownError)


async def test_a_server_that_forgets_its_scripts_runs_each_call_once(
    there: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(max_backlog=1000)
    async with Bus.connect(BusConfig(url=there.url)) as bus:
        for number in range(5):
            there.ask("SCRIPT", "FLUSH")
            both = (ping(text=f"{number}.{at}") for at in range(2))
            await asyncio.gather(*(bus.publish(topic, event) for event in both))
        assert (await bus.lag(topic))[0].waiting == 10


@pytest.mark.parametrize("login", ["", f":not-{SECRET}", f"nobody:{SECRET}"])
async def test_a_wrong_login_is_a_setting_to_fix_and_is_not_shown(
    there: Any, topic: Any, ping: Any, recorder: Any, login: str
) -> None:
    there.ask("CONFIG", "SET", "requirepass", SECRET)
    url = with_login(there.url, login) if login else there.url
    async with Bus.connect(BusConfig(url=url)) as bus:
        with pytest.raises(BusConfigError, match="check the url's user and password") as refusal:
            await bus.publish(topic, ping(text="x"))
        assert SECRET not in str(refusal.value)
        with pytest.raises(BusConfigError):
            await bus.subscribe(topic, GROUP, recorder()).run(asyncio.Event())


async def test_the_right_login_is_let_in_by_name_or_without(
    there: Any, topic: Any, ping: Any
) -> None:
    there.ask("ACL", "SETUSER", "desk", "on", f">{SECRET}", "~*", "&*", "+@all")
    there.ask("CONFIG", "SET", "requirepass", SECRET)
    for login in (f":{SECRET}", f"default:{SECRET}", f"desk:{SECRET}"):
        async with Bus.connect(BusConfig(url=with_login(there.url, login))) as bus:
            await bus.publish(topic, ping(text="x"))
            assert await bus.ping()


async def test_a_user_that_may_not_write_is_a_setting_to_fix(
    there: Any, topic: Any, ping: Any
) -> None:
    there.ask("ACL", "SETUSER", "reader", "on", f">{SECRET}", "~*", "+@all", "-xadd")
    url = with_login(there.url, f"reader:{SECRET}")
    async with Bus.connect(BusConfig(url=url)) as bus:
        with pytest.raises(BusConfigError, match="NOPERM"):
            await bus.publish(topic, ping(text="x"))


async def test_a_database_or_a_password_too_many_is_a_setting_to_fix(there: Any) -> None:
    for url in (there.url.replace("/0", "/99"), with_login(there.url, f":{SECRET}")):
        async with Bus.connect(BusConfig(url=url)) as bus:
            with pytest.raises(BusConfigError, match="login or database") as refusal:
                await bus.ping()
        assert SECRET not in str(refusal.value)
