"""One connection, many callers: which gets which answer, and what they get when it ends."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdesk.bus import BusConfig, BusUnavailableError
from streamdesk.bus.connection.server import Server
from streamdesk.bus.connection.wire import Connection, pack

LOOPBACK = "127.0.0.1"
LONG_SECONDS = 3600.0
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def connected(talk: Talk) -> AsyncIterator[Connection]:
    """A connection to a server that says what `talk` says, until the test is over."""
    over = asyncio.Event()
    talks: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await talk(reader, writer)
        await over.wait()
        writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.create_task(serve(reader, writer)))

    listener = await asyncio.start_server(accept, LOOPBACK, 0)
    port = listener.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection("there"), LOOPBACK, port)
    try:
        async with asyncio.timeout(30):
            yield connection
    finally:
        connection.abort("the test is over")
        over.set()
        await asyncio.gather(*talks)
        listener.close()


@asynccontextmanager
async def server_of(url: str, **changes: Any) -> AsyncIterator[Server]:
    server = Server(BusConfig(url=url, **changes))
    try:
        async with asyncio.timeout(30):
            yield server
    finally:
        await server.close()


def ask(connection: Connection, *words: str, seconds: float = LONG_SECONDS) -> Any:
    return connection.send(pack(words), 1, seconds)


async def silence(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Listen, and say nothing."""


async def test_each_caller_gets_its_own_answer(valkey_url: str) -> None:
    async with server_of(valkey_url) as server:

        async def echo(number: int) -> list[Any]:
            commands = [("ECHO", f"{number}.{at}") for at in range(number % 3 + 1)]
            return await server.send(commands)

        answers = await asyncio.gather(*(echo(number) for number in range(500)))
    for number, answer in enumerate(answers):
        assert answer == [f"{number}.{at}".encode() for at in range(number % 3 + 1)]


async def test_an_error_is_an_answer_among_the_others(valkey_url: str) -> None:
    async with server_of(valkey_url) as server:
        first, second, third = await server.send([("ECHO", "a"), ("NONSENSE",), ("ECHO", "b")])
    assert (first, third) == (b"a", b"b")
    assert isinstance(second, hiredis.ReplyError)


async def test_a_cancelled_caller_leaves_the_order_of_answers_intact() -> None:
    answer_now = asyncio.Event()

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer_now.wait()
        writer.write(b"+one\r\n+two\r\n+three\r\n")

    async with connected(talk) as connection:
        first, second, third = (ask(connection, "GET", word) for word in ("a", "b", "c"))
        second.cancel()
        answer_now.set()
        assert (await first, await third) == ([b"one"], [b"three"])
    assert second.cancelled()


async def test_time_in_which_our_own_loop_stood_still_does_not_count_as_a_servers_silence() -> None:
    may_answer = asyncio.Event()

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await may_answer.wait()
        writer.write(b"+late\r\n")

    async with connected(talk) as connection:
        answer = ask(connection, "PING", seconds=5)
        time.sleep(6)  # noqa: ASYNC251 - that is the point
        for _ in range(5):  # the timer that is overdue has its turn
            await asyncio.sleep(0)
        may_answer.set()
        assert await answer == [b"late"]


async def test_a_loop_that_always_stands_still_finds_a_silent_server_out_nevertheless() -> None:
    async with connected(silence) as connection:
        answer = ask(connection, "PING", seconds=0.2)
        for _ in range(3):
            time.sleep(0.5)  # noqa: ASYNC251 - that is the point
            await asyncio.sleep(0.01)
        with pytest.raises(BusUnavailableError, match="no answer in time"):
            await answer


async def test_a_connection_is_made_although_our_own_loop_stood_still_meanwhile(
    valkey_url: str,
) -> None:
    async with server_of(valkey_url, socket_timeout_seconds=1) as server:
        asked = asyncio.create_task(server.send([("PING",)]))
        await asyncio.sleep(0)
        time.sleep(1.5)  # noqa: ASYNC251 - that is the point
        assert await asked == [b"PONG"]


async def test_an_answer_may_arrive_in_pieces_and_several_in_one() -> None:
    big = b"x" * 300_000
    stream = b"$300000\r\n" + big + b"\r\n:1\r\n*2\r\n$1\r\na\r\n:2\r\n"

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for start in range(0, len(stream), 7_919):
            writer.write(stream[start : start + 7_919])
            await writer.drain()
            await asyncio.sleep(0)

    async with connected(talk) as connection:
        answers = [ask(connection, "GET", word) for word in ("a", "b", "c")]
        assert [await answer for answer in answers] == [[big], [1], [[b"a", 2]]]


class Sink(asyncio.Transport):
    """Where requests go whose answers the test makes up."""

    def write(self, _data: bytes | bytearray | memoryview) -> None:
        pass

    def abort(self) -> None:
        pass


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=20),
    cancelled=st.sets(st.integers(0, 19)),
    cuts=st.sets(st.integers(1, 400)),
)
def test_whatever_the_pieces_and_whichever_is_cancelled_each_gets_its_own_answers(
    counts: list[int], cancelled: set[int], cuts: set[int]
) -> None:
    async def play() -> None:
        connection = Connection("there")
        connection.connection_made(Sink())
        futures = [connection.send(b"", count, LONG_SECONDS) for count in counts]
        expected = [[f"{at}.{n}".encode() for n in range(count)] for at, count in enumerate(counts)]
        for at in cancelled & set(range(len(counts))):
            futures[at].cancel()
        words = [word for answers in expected for word in answers]
        stream = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
        for start, end in pairwise(edges):
            connection.data_received(stream[start:end])
        for at, future in enumerate(futures):
            assert future.cancelled() if at in cancelled else future.result() == expected[at]
        connection.connection_lost(None)

    asyncio.run(play())


async def test_a_request_of_several_commands_has_all_its_answers_or_none() -> None:
    asked = pack(("GET",)) * 2

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(2 * len(asked))
        writer.write(b":1\r\n:2\r\n:3\r\n")
        writer.close()

    async with connected(talk) as connection:
        whole = connection.send(asked, 2, LONG_SECONDS)
        half = connection.send(asked, 2, LONG_SECONDS)
        assert await whole == [1, 2]
        with pytest.raises(BusUnavailableError, match="there: the connection was closed"):
            await half


async def test_a_silent_server_ends_the_connection_and_every_caller_learns_it() -> None:
    async with connected(silence) as connection:
        callers = [ask(connection, "GET", "a", seconds=0.05)]
        callers += [ask(connection, "GET", "b") for _ in range(5)]
        errors = await asyncio.gather(*callers, return_exceptions=True)
        assert {type(error) for error in errors} == {BusUnavailableError}
        assert {str(error) for error in errors} == {"there: no answer in time"}
        assert connection.closed
        with pytest.raises(BusUnavailableError, match="no answer in time"):
            await ask(connection, "GET", "late")


async def test_a_request_with_little_time_is_not_held_to_the_time_of_one_before_it() -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b":1\r\n")

    async with connected(talk) as connection:
        assert await ask(connection, "GET", "patient", seconds=LONG_SECONDS) == [1]
        with pytest.raises(BusUnavailableError, match="no answer in time"):
            await ask(connection, "GET", "hasty", seconds=0.05)


async def test_a_request_may_be_due_sooner_than_the_loop_counts() -> None:
    async with connected(silence) as connection:
        with pytest.raises(BusUnavailableError, match="no answer in time"):
            await ask(connection, "GET", "hasty", seconds=0.0001)
    async with connected(silence) as connection:
        hasty = ask(connection, "GET", "hasty", seconds=0.0001)
        ask(connection, "GET", "hastier", seconds=0.00001).cancel()
        with pytest.raises(BusUnavailableError, match="no answer in time"):
            await hasty


async def test_a_request_that_is_answered_in_time_does_not_end_the_connection() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(3):
            await reader.readuntil(b"GET\r\n")
            writer.write(b":1\r\n")

    async with connected(talk) as connection:
        for _ in range(3):
            assert await ask(connection, "GET", seconds=20) == [1]
        assert connection._watch is not None
        connection._check()  # as the clock would, with nothing asked
        assert not connection.closed
        last = ask(connection, "GET", seconds=LONG_SECONDS)
        connection._check()  # before its time
        assert not connection.closed
        last.cancel()


async def test_unreadable_bytes_end_the_connection_and_say_so() -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b":1\r\n?what is this\r\n")

    async with connected(talk) as connection:
        first, second, third = (ask(connection, "GET", word) for word in ("a", "b", "c"))
        assert await first == [1]
        for lost in (second, third):
            with pytest.raises(BusUnavailableError, match="there: unreadable answer"):
                await lost
        assert connection.closed


async def test_what_a_server_says_unasked_ends_the_connection_with_its_words() -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-ERR max number of clients reached\r\n")

    async with connected(talk) as connection:
        while not connection.closed:
            await asyncio.sleep(0.001)
        with pytest.raises(BusUnavailableError, match="max number of clients"):
            await ask(connection, "GET", "a")


async def test_a_connection_that_is_dropped_tells_why() -> None:
    async with connected(silence) as connection:
        waiting = ask(connection, "GET", "a")
        connection.abort("the master is another now")
        with pytest.raises(BusUnavailableError, match="there: the master is another now"):
            await waiting


async def test_a_frozen_server_is_given_up_and_found_again_when_it_resumes(
    start_server: Callable[..., Any],
) -> None:
    there = start_server()
    async with server_of(there.url, socket_timeout_seconds=0.3) as server:
        await server.send([("PING",)])
        there.freeze()
        try:
            asked = [asyncio.ensure_future(server.send([("PING",)])) for _ in range(20)]
            errors = await asyncio.gather(*asked, return_exceptions=True)
            assert {type(error) for error in errors} == {BusUnavailableError}
        finally:
            there.thaw()
        assert await server.send([("PING",)]) == [b"PONG"]


@pytest.fixture(params=["valkey", "redis"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    async with server_of(request.getfixturevalue(f"{request.param}_url")) as server:
        yield server


async def connections(server: Server) -> int:
    (listed,) = await server.send([("CLIENT", "LIST")])
    return int(listed.count(b" name=streamdesk-wire "))


async def group_of(server: Server, key: str) -> tuple[str, ...]:
    await server.send([("DEL", key), ("XGROUP", "CREATE", key, "g", "0", "MKSTREAM")])
    return ("XREADGROUP", "GROUP", "g", "c", "COUNT", "10", "BLOCK", "3600000", "STREAMS", key, ">")


async def pending(server: Server, key: str) -> int:
    (summary,) = await server.send([("XPENDING", key, "g")])
    return int(summary[0])


async def test_a_blocking_read_that_is_stopped_ends_at_once_and_strands_nothing(
    server: Server,
) -> None:
    read = await group_of(server, "wire:stopped")
    stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    reading = asyncio.create_task(server.send_blocking(read, LONG_SECONDS, stopped))
    blocked = 0
    while not blocked:
        (clients,) = await server.send([("INFO", "clients")])
        blocked = b"blocked_clients:0" not in clients
        await asyncio.sleep(0.005)
    stopped.set_result(None)
    async with asyncio.timeout(30):
        assert await reading is None
    await server.send([("XADD", "wire:stopped", "*", "a", "1")])
    assert await pending(server, "wire:stopped") == 0


async def test_what_arrives_while_a_blocking_read_is_stopped_is_handed_over(
    server: Server,
) -> None:
    key, handed = "wire:race", 0
    read = await group_of(server, key)
    for _ in range(50):
        stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        reading = asyncio.create_task(server.send_blocking(read, LONG_SECONDS, stopped))
        await asyncio.sleep(0)
        adding = asyncio.create_task(server.send([("XADD", key, "*", "a", "1")]))
        stopped.set_result(None)
        await adding
        # A stop that overtakes the read is not seen by it: then the entry ends it.
        async with asyncio.timeout(30):
            for _key, entries in await reading or ():
                handed += len(entries)
    assert await pending(server, key) == handed


async def test_a_blocking_read_that_was_answered_leaves_its_connection_to_the_next(
    valkey_url: str,
) -> None:
    async with server_of(valkey_url, service="wire") as server:
        read = await group_of(server, "wire:reused")
        for number in range(5):
            await server.send([("XADD", "wire:reused", "*", "a", str(number))])
            await server.send_blocking(read, LONG_SECONDS)
        assert await connections(server) == 2


async def test_a_cancelled_blocking_read_takes_its_connection_with_it(valkey_url: str) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
    async with server_of(valkey_url, service="wire") as server:
        read = ("XREAD", "BLOCK", "3600000", "STREAMS", "wire:cancelled", "$")
        reading = asyncio.create_task(server.send_blocking(read, LONG_SECONDS))
        while await connections(server) < 2:
            await asyncio.sleep(0.005)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        while await connections(server) > 1:
            await asyncio.sleep(0.005)
    del reading
    gc.collect()
    assert complaints == [], "no caller is left that should have looked at an error"


async def test_a_closed_server_leaves_no_connection_behind(valkey_url: str) -> None:
    async with server_of(valkey_url, service="wire") as server:
        await asyncio.gather(server.send([("PING",)]), server.send([("PING",)], lane="durable"))
        read = ("XREAD", "BLOCK", "1", "STREAMS", "wire:closed", "$")
        await asyncio.gather(server.send_blocking(read, 1), server.send_blocking(read, 1))
        assert await connections(server) == 4
    async with server_of(valkey_url, service="watch") as watch:
        while await connections(watch):
            await asyncio.sleep(0.005)
