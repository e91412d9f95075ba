"""Executors as processes that share one account, one broker and one queue."""

import asyncio
import multiprocessing
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event as Flag
from multiprocessing.synchronize import Semaphore
from pathlib import Path

from streamdesk.bus import Bus, BusConfig, Message, Outcome
from streamdesk.contracts.events import SignalGenerated
from streamdesk.contracts.topics import TRADING_ORDERS, TRADING_RISK, TRADING_SIGNALS
from streamdesk.order_executor.adapters.paper_broker import Faults
from streamdesk.order_executor.application.publish_outbox import OutboxPublisher
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.entrypoints import bus as bus_entrypoint
from streamdesk.order_executor.entrypoints import schedule
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.runtime import Drain
from tests.benchmarks.server import clear
from tests.market import second_after
from tests.servers import StreamServer

SYMBOLS = 64
"""Bought one after the other, then sold: many more than executors, so none waits for another."""

BEGAN = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
LONGEST_SECONDS = 120  # only ends what hangs
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
FORK = multiprocessing.get_context("fork")  # a process that imports takes a second of CPU time


def settings_of(folder: Path, instance: str) -> Settings:
    """An account with room for every order of a run."""
    return Settings.model_validate(
        {
            "ledger_url": f"sqlite:///{folder / 'ledger.db'}",
            "paper_broker_url": f"sqlite:///{folder / 'paper.db'}",
            "instance": instance,
            "max_positions_us": 2 * SYMBOLS,
            "size_min_percent": "0.5",
            "size_max_percent": "1",
            # A run is more than a trader would do in a day.
            "max_market_percent": 0,
            "max_orders_per_minute": 0,
            "daily_loss_limit_percent": 0,
            "drawdown_limit_percent": 0,
            "protections": [],
            "sessions": False,
            "paper_volume_share_percent": 0,
            "broker_timeout_seconds": 60,
            "order_executor_workers": 1,
        }
    )


def signals(count: int) -> Iterator[SignalGenerated]:
    """Signals, all of one priority, each of which becomes an order."""
    for number in range(count):
        at = BEGAN + timedelta(minutes=number)
        side = "SELL" if number // SYMBOLS % 2 else "BUY"
        yield SignalGenerated.model_validate(
            {
                "symbol": f"S{number % SYMBOLS}.US",
                "type": side,
                "side": side,
                "score": 65.0,
                "strength": 0.5,
                "price": 100.0,
                "reasons": (),
                "indicators": {},
                "strategy": "bench",
                "timestamp": at,
                "priority": 60,
                "queued_at": at,
            }
        )


async def work(
    folder: Path, url: str, name: str, latency: float, ready: Semaphore, go: Flag
) -> None:
    """What an executor does, with a broker whose answers take their time."""

    async def be_slow(_: str) -> None:
        await asyncio.sleep(latency)

    settings, drain, warm = settings_of(folder, name), Drain(), asyncio.Event()
    warm.set()  # no bars are read here
    executor = OrderExecutor(settings, faults=Faults(before_accept=be_slow))

    async def handle(message: Message[SignalGenerated]) -> Outcome:
        outcome, signal = await executor.handler(message), message.event
        await executor.feed.on_bar(second_after(signal.symbol, signal.timestamp, signal.price))
        return outcome

    async with Bus.connect(BusConfig(url=url)) as bus, executor:
        publisher = OutboxPublisher(executor.outbox, bus)
        executor.on_commit = publisher.announce
        await executor.reconciliation.reconcile()
        ready.release()
        await asyncio.to_thread(go.wait)
        await asyncio.gather(
            bus_entrypoint.consume_signals(
                bus, TRADING_SIGNALS, handle, executor.gate, warm, 1, drain
            ),
            schedule.keep_published(publisher, drain),
        )


def _run(folder: Path, url: str, name: str, latency: float, ready: Semaphore, go: Flag) -> None:
    with (folder / "executors.log").open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    asyncio.run(work(folder, url, name, latency, ready, go))


@contextmanager
def started(
    folder: Path, url: str, executors: int, latency: float
) -> Iterator[tuple[Flag, list[int]]]:
    """Executors that take nothing before the flag is set, and their ids; killed at the end."""
    ready, go = FORK.Semaphore(0), FORK.Event()
    names = [f"executor-{number}" for number in range(executors)]
    processes = [
        FORK.Process(target=_run, args=(folder, url, name, latency, ready, go)) for name in names
    ]
    try:
        for process in processes:
            process.start()
        for _ in processes:
            if not ready.acquire(timeout=LONGEST_SECONDS):
                raise RuntimeError(f"an executor was not ready within {LONGEST_SECONDS} s")
        yield go, [process.pid or 0 for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.join()


def count(path: Path, query: str) -> int:
    """What a query counts in a database that others write."""
    with closing(sqlite3.connect(path)) as database:
        number: int = database.execute(query).fetchone()[0]
        return number


def wait_for(path: Path, query: str, wanted: int) -> None:
    """Return when the query counts so many.

    Raises:
        RuntimeError: it never does.
    """
    deadline = time.monotonic() + LONGEST_SECONDS
    while (found := count(path, query)) != wanted:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{query} counts {found} after {LONGEST_SECONDS} s, not {wanted}")
        time.sleep(0.02)


async def _publish(url: str, orders: int) -> None:
    async with Bus.connect(BusConfig(url=url)) as bus:
        topic = TRADING_SIGNALS.configured(max_backlog=1_000_000)
        await bus.publish_many(topic, list(signals(orders)))


async def _books(folder: Path) -> list[str]:
    async with OrderExecutor(settings_of(folder, "bench")) as executor:
        return [str(finding) for finding in await executor.verify()]


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Run:
    """What a number of executors did.

    Attributes:
        per_second: orders, from the first signal to the last booked fill.
        cpu_ms: CPU time of the executors, an order.
        doubled: orders and events that were made twice.
    """

    per_second: float
    cpu_ms: float
    doubled: int


def throughput(
    server: StreamServer, folder: Path, executors: int, orders: int, latency: float
) -> Run:
    """Have so many executors make orders.

    Args:
        server: of the queue; emptied first.
        folder: empty; the books are made here.
        executors: processes, each with one order in flight.
        orders: to make.
        latency: seconds until the broker accepts one.

    Raises:
        RuntimeError: the books do not add up, or an order is missing.
    """
    clear(server)
    asyncio.run(_books(folder))  # makes the tables
    asyncio.run(_publish(server.url, orders))
    ledger, paper = folder / "ledger.db", folder / "paper.db"
    with started(folder, server.url, executors, latency) as (go, pids):
        before, began = sum(map(cpu_seconds, pids)), time.monotonic()
        go.set()
        wait_for(ledger, "SELECT count(*) FROM signals", orders)
        wait_for(ledger, "SELECT count(*) FROM reservations", 0)
        seconds = time.monotonic() - began
        cpu = sum(map(cpu_seconds, pids)) - before
        wait_for(ledger, "SELECT count(*) FROM outbox WHERE published_at IS NULL", 0)
    if findings := asyncio.run(_books(folder)):
        raise RuntimeError(f"the books do not add up: {findings[:3]}")
    made = count(ledger, "SELECT count(*) FROM orders WHERE state = 'FILLED'")
    at_broker = count(paper, "SELECT count(*) FROM paper_orders")
    events = count(ledger, "SELECT count(*) FROM outbox")
    entries = sum(int(server.ask("XLEN", topic.key)) for topic in (TRADING_ORDERS, TRADING_RISK))
    doubled = at_broker - made + entries - events
    return Run(made / seconds, cpu / made * 1000, doubled)
