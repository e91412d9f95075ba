"""The faults, by name: `strike` breaks something, waits, and repairs it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from tests.chaos.arena import Arena
from tests.chaos.traffic import ORDERED, SINGLES, fails_at_first

Where = Literal["server", "network", "consumers"]
HOUR_SECONDS = 3600
SLOW_SECONDS = 0.1
LONGEST_PART_BYTES = 400
CUTS = 5


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: as it is counted.
        where: what it breaks; two faults of different places may strike at the same time.
        strike: breaks and repairs; raises when it cannot have had an effect.
        loses: whether the server loses its data: then only later events count.
    """

    name: str
    where: Where
    strike: Callable[[Arena], Awaitable[None]]
    loses: bool = False

    def __str__(self) -> str:
        return self.name


async def kill_server(arena: Arena) -> None:
    """Like a power cut; acknowledged writes are on disk."""
    arena.server.kill()
    await asyncio.to_thread(arena.server.start)


async def restart_server(arena: Arena) -> None:
    """An orderly restart, as in an upgrade."""
    await asyncio.to_thread(arena.server.stop)
    await asyncio.to_thread(arena.server.start)


async def restart_server_empty(arena: Arena) -> None:
    """Like a server without an append-only file, or one that lost its disk."""
    arena.server.kill()
    arena.server.forget()
    await asyncio.to_thread(arena.server.start)


async def freeze_server(arena: Arena) -> None:
    """Connections stay, nothing answers, and then everything is executed late."""
    arena.server.freeze()
    await asyncio.sleep(arena.pace.freeze_seconds)
    arena.server.thaw()


async def flush_all(arena: Arena) -> None:
    """Streams, groups and dead letters are deleted."""
    await arena.ask("FLUSHALL")


async def flush_scripts(arena: Arena) -> None:
    """The server forgets the scripts that are called by their hash."""
    await arena.ask("SCRIPT", "FLUSH")


async def kill_clients(arena: Arena) -> None:
    """The server closes the connections of some clients."""
    rows = (await arena.ask("CLIENT", "LIST", "TYPE", "normal")).splitlines()
    ids = [row.split()[0].removeprefix("id=") for row in rows]
    for client in arena.chance.sample(ids, max(1, len(ids) // 2)):
        await arena.ask("CLIENT", "KILL", "ID", client)


async def fill_memory(arena: Arena) -> None:
    """At the memory limit publishes are refused, but consumers continue.

    They do so even if they were down until all their leases had expired.
    """
    books = arena.desk.books
    refused, consumers = len(books.refused), list(arena.consumers)
    for consumer in consumers:
        consumer.freeze()
    try:
        await asyncio.sleep(arena.pace.lease_seconds / 2)
        await arena.ask("CONFIG", "SET", "maxmemory", arena.server.info("memory")["used_memory"])
        await arena.desk.until(lambda: len(books.refused) > refused)
        await asyncio.sleep(arena.pace.lease_seconds)
        # What fails needs memory for its retry; everything else is handled all the same.
        waiting = {n.number for n in books.unhandled() if not fails_at_first(n.topic, n.number)}
        for consumer in consumers:
            consumer.thaw()
        await arena.desk.until(lambda: waiting <= books.handled.keys())
    finally:
        for consumer in consumers:
            consumer.thaw()
        await arena.ask("CONFIG", "SET", "maxmemory", 0)


async def slow_network(arena: Arena) -> None:
    """The network is slow."""
    arena.proxy.delay_seconds = SLOW_SECONDS
    await asyncio.sleep(arena.pace.trouble_seconds)
    arena.proxy.delay_seconds = 0


async def cut_network(arena: Arena) -> None:
    """All connections break, again and again."""
    for _ in range(CUTS):
        before = arena.proxy.cuts
        arena.proxy.cut()
        assert arena.proxy.cuts > before, "nothing was connected"
        await asyncio.sleep(arena.pace.trouble_seconds / CUTS)


async def cut_answers(arena: Arena) -> None:
    """Connections break in the middle of an answer: the command was executed."""
    for _ in range(CUTS):
        before = arena.proxy.cuts
        arena.proxy.cut_answer_after(arena.chance.randrange(LONGEST_PART_BYTES))
        await arena.desk.until(lambda: arena.proxy.cuts > before)  # noqa: B023 - awaited at once


async def black_hole(arena: Arena) -> None:
    """Connections are accepted and nothing ever comes; what was sent arrives late."""
    arena.proxy.swallow()
    await asyncio.sleep(arena.pace.freeze_seconds)
    arena.proxy.forward()


async def kill_consumer(arena: Arena) -> None:
    """A consumer dies with pending messages; another one replaces it."""
    arena.remove_one().kill()
    arena.add_consumer()


async def stop_consumer(arena: Arena) -> None:
    """A consumer is stopped, as in a rollout."""
    await asyncio.to_thread(arena.remove_one().stop)
    arena.add_consumer()


async def freeze_consumer(arena: Arena) -> None:
    """A consumer hangs until others have taken its messages over, and then resumes."""
    consumer = arena.chance.choice(arena.consumers)
    consumer.freeze()
    await asyncio.sleep(2 * arena.pace.lease_seconds)
    consumer.thaw()


async def step_server_clock(arena: Arena) -> None:
    """The clock goes back: the newest entry ids are in the future."""
    ahead_ms = round(1000 * (time.time() + arena.chance.uniform(0.1, 1) * HOUR_SECONDS))
    for key in [SINGLES.key, *await arena.ask("KEYS", f"{{{ORDERED.key}:*")]:
        if await arena.ask("TYPE", key) != "stream":
            continue
        flat = await arena.ask("XINFO", "STREAM", key)
        last = dict(zip(flat[::2], flat[1::2], strict=True))["last-generated-id"]
        if int(last.partition("-")[0]) < ahead_ms:
            await arena.ask("XSETID", key, f"{ahead_ms}-0")


async def step_consumer_clock(arena: Arena) -> None:
    """The clock of a consumer is an hour early or late."""
    arena.remove_one().kill()
    arena.add_consumer(arena.chance.choice((-HOUR_SECONDS, HOUR_SECONDS)))


FAULTS = (
    Fault("server killed", "server", kill_server),
    Fault("server restarted", "server", restart_server),
    Fault("server restarted empty", "server", restart_server_empty, loses=True),
    Fault("server frozen", "server", freeze_server),
    Fault("FLUSHALL", "server", flush_all, loses=True),
    Fault("SCRIPT FLUSH", "server", flush_scripts),
    Fault("clients killed", "server", kill_clients),
    Fault("memory full", "server", fill_memory),
    Fault("server clock stepped", "server", step_server_clock),
    Fault("network slow", "network", slow_network),
    Fault("network cut", "network", cut_network),
    Fault("answers cut", "network", cut_answers),
    Fault("black hole", "network", black_hole),
    Fault("consumer killed", "consumers", kill_consumer),
    Fault("consumer stopped", "consumers", stop_consumer),
    Fault("consumer frozen", "consumers", freeze_consumer),
    Fault("consumer clock stepped", "consumers", step_consumer_clock),
)


async def strike(arena: Arena, fault: Fault) -> int:
    """Run a fault, and adjust the records if it loses data.

    Returns how many acknowledged but unhandled events it may have lost.
    """
    await fault.strike(arena)
    if not fault.loses:
        return 0
    arena.desk.read()
    return arena.desk.books.forgive(time.monotonic_ns())
