"""The desk part of the chaos: executors as processes, a queue, a ledger, and what can break."""

import asyncio
import contextlib
import itertools
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from streamdesk.order_executor.config import Settings
from tests.chaos.arena import DURABLE, ROOT, _unmeasured
from tests.chaos.trader import RATE
from tests.postgres import PostgresServer, find_programs
from tests.proxy import Proxy
from tests.servers import StreamServer

EXECUTORS = 3


@dataclass(frozen=True, slots=True)
class TradingPace:
    """Durations of a round.

    Attributes:
        outage_seconds: the longest that something is frozen, stopped or locked.
        calm_seconds: the longest between two faults.
        bar_seconds: between two bars of the market, each a minute of its time.
        broker_faults: share of calls to the broker that fail.
    """

    outage_seconds: float
    calm_seconds: float
    bar_seconds: float
    broker_faults: float


class BreakableLedger:
    """The databases of the account: two files, or one database on a server."""

    def __init__(self, folder: Path, server: PostgresServer | None) -> None:
        self.server = server
        self.file = folder / "ledger.db"
        if server is None:
            files = f"sqlite:///{self.file}", f"sqlite:///{folder / 'paper.db'}"
        else:
            files = (server.url(server.create_database()),) * 2
        self.urls = dict(zip(("LEDGER_URL", "PAPER_BROKER_URL"), files, strict=True))

    def break_it(self, chance: random.Random) -> Callable[[], None]:
        """Stop, freeze or lock it; returns what ends that."""
        if self.server is None:
            other = sqlite3.connect(self.file, timeout=30)
            other.execute("BEGIN IMMEDIATE")
            return other.close
        if chance.random() < 0.5:
            self.server.freeze()
            return self.server.thaw
        self.server.crash()
        return self.server.start


class Trader:
    """One executor process."""

    def __init__(self, environment: dict[str, str], name: str, log: Path) -> None:
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.trader"],
                cwd=ROOT,
                env=_unmeasured() | environment | {"INSTANCE": name},
                stdout=file,
                stderr=file,
            )

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it still exists."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()


class TradingFloor:
    """Everything that can be broken."""

    def __init__(
        self,
        server: StreamServer,
        proxy: Proxy,
        ledger: BreakableLedger,
        folder: Path,
        pace: TradingPace,
    ) -> None:
        """Made by `open_floor`."""
        self.server = server
        self.proxy = proxy
        self.ledger = ledger
        self.pace = pace
        self.log = folder / "executors.log"
        self.traders: list[Trader] = []
        self._names = (f"executor-{number}" for number in itertools.count(1))
        self._environment = {**ledger.urls, **ENVIRONMENT, "REDIS_URL": proxy.url}

    @property
    def settings(self) -> Settings:
        """Of the account, for those who look at it."""
        urls = {name.lower(): url for name, url in self.ledger.urls.items()}
        return Settings.model_validate({**urls, "sessions": False, "instance": "onlooker"})

    def add_trader(self) -> None:
        """Start one more executor."""
        rate = {RATE: str(self.pace.broker_faults)}
        self.traders.append(Trader(self._environment | rate, next(self._names), self.log))

    def end(self) -> None:
        """End every executor, also one that is frozen."""
        for trader in self.traders:
            trader.kill()

    def ended_by_themselves(self) -> int:
        """Executors that nobody killed and that are not there."""
        return sum(trader.process.poll() is not None for trader in self.traders)


ENVIRONMENT = {
    "BUS_LEASE_SECONDS": "2",
    # The limit is for messages that kill; here it is never the message.
    "BUS_MAX_DELIVERIES": "1000000",
    "METRICS_PORT": "0",
    "LOG_FORMAT": "json",
    "MAX_POSITIONS_US": "100",
    "SIZE_MIN_PERCENT": "0.5",
    "SIZE_MAX_PERCENT": "1",
    "DATABASE_TIMEOUT_SECONDS": "2",
    "DATABASE_ANSWER_SECONDS": "2",
    "BROKER_TIMEOUT_SECONDS": "2",
    "RECONCILE_INTERVAL_SECONDS": "1",
    "OUTBOX_LEASE_SECONDS": "2",
    "OUTBOX_KEEP": "1000000",
    # A minute of the market takes less than one here, through nights and weekends.
    "SESSIONS": "false",
    "SIGNAL_FUTURE_TOLERANCE_SECONDS": "1000000000",
    # What is to be seen is orders, not that a losing streak ends them.
    "DAILY_LOSS_LIMIT_PERCENT": "0",
    "DRAWDOWN_LIMIT_PERCENT": "0",
    "PROTECTIONS": "[]",
    "MAX_ORDERS_PER_MINUTE": "0",
    "MAX_MARKET_PERCENT": "0",
}


@contextlib.asynccontextmanager
async def open_floor(
    binary: str, folder: Path, pace: TradingPace, *, on_server: bool
) -> AsyncIterator[TradingFloor]:
    """A floor with its executors; everything on it ends with the context."""
    (folder / "redis").mkdir()
    programs = find_programs() if on_server else None
    server = await asyncio.to_thread(StreamServer, binary, folder / "redis", *DURABLE)
    postgres = None if programs is None else await asyncio.to_thread(PostgresServer, programs)
    try:
        async with Proxy(server.port) as proxy:
            floor = TradingFloor(server, proxy, BreakableLedger(folder, postgres), folder, pace)
            try:
                for _ in range(EXECUTORS):
                    floor.add_trader()
                yield floor
            finally:
                floor.end()
    finally:
        await asyncio.to_thread(server.stop)
        if postgres is not None:
            await asyncio.to_thread(postgres.remove)


async def kill_trader(floor: TradingFloor, chance: random.Random) -> None:
    """An executor dies, and another one replaces it."""
    floor.traders.pop(chance.randrange(len(floor.traders))).kill()
    floor.add_trader()


async def freeze_trader(floor: TradingFloor, chance: random.Random) -> None:
    """An executor hangs, and resumes where it was: its messages are others' meanwhile."""
    trader = chance.choice(floor.traders)
    trader.send(signal.SIGSTOP)
    await asyncio.sleep(chance.uniform(0, floor.pace.outage_seconds))
    trader.send(signal.SIGCONT)


async def kill_redis(floor: TradingFloor, chance: random.Random) -> None:
    """The queue's server dies and comes back with all that it acknowledged."""
    floor.server.kill()
    await asyncio.sleep(chance.uniform(0, floor.pace.outage_seconds))
    await asyncio.to_thread(floor.server.start)


async def freeze_redis(floor: TradingFloor, chance: random.Random) -> None:
    """The queue's server hangs."""
    floor.server.freeze()
    await asyncio.sleep(chance.uniform(0, floor.pace.outage_seconds))
    floor.server.thaw()


async def cut_network(floor: TradingFloor, _: random.Random) -> None:
    """Every connection to the queue breaks."""
    floor.proxy.cut()


async def break_ledger(floor: TradingFloor, chance: random.Random) -> None:
    """The ledger is locked, or its server crashes or hangs."""
    mend = await asyncio.to_thread(floor.ledger.break_it, chance)
    await asyncio.sleep(chance.uniform(0, floor.pace.outage_seconds))
    await asyncio.to_thread(mend)


FLOOR_FAULTS = {
    "executor killed": kill_trader,
    "executor frozen": freeze_trader,
    "redis killed": kill_redis,
    "redis frozen": freeze_redis,
    "network cut": cut_network,
    "ledger broken": break_ledger,
}
