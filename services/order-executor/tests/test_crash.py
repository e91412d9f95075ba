"""No order is made twice, no signal is lost and no event comes twice, whatever is killed."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest
from sqlalchemy import Connection, select

from streamdesk.bus import Bus, BusConfig, Message
from streamdesk.bus.envelope import new_id
from streamdesk.contracts.base import Event, Topic
from streamdesk.contracts.events import BarClosed, OrderFilled, RiskAlerted, SignalGenerated
from streamdesk.contracts.topics import MARKET_BARS, TRADING_ORDERS, TRADING_RISK, TRADING_SIGNALS
from streamdesk.order_executor.adapters.ledger.schema import ORDERS, OUTBOX
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.trading.orders import OrderState

KILLS = int(os.environ.get("CRASH_TEST_KILLS", "200"))
EXECUTORS = 3
QUEUE = 300
BAR_SECONDS = 1.0  # two executors bring each bar of 44 symbols to the broker
PRICE = 100.0
START = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
SYMBOLS = [f"S{number}.US" for number in range(40)] + ["700.HK", "5.HK", "9988.HK", "1299.HK"]
SIGNALS = TRADING_SIGNALS.configured(max_backlog=1_000_000)

SignalOf = Callable[..., SignalGenerated]
SettingsOf = Callable[..., Settings]


@pytest.fixture
def redis_url(start_server: Callable[..., Any]) -> str:
    url: str = start_server().url
    return url


class Zygote:
    """Forks executors; see zygote.py."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("zygote.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | environment,
            text=True,
        )
        self._one_at_a_time = asyncio.Lock()
        self.alive: set[int] = set()

    async def __aenter__(self) -> Self:
        assert await asyncio.to_thread(self._read) == "ready"  # it imports, for seconds
        return self

    async def __aexit__(self, *_: object) -> None:
        for pid in list(self.alive):
            self.kill(pid)
        await asyncio.to_thread(self._process.communicate)

    async def start(self, instance: str) -> int:
        async with self._one_at_a_time:
            pid = int(await asyncio.to_thread(self._ask, instance))
        self.alive.add(pid)
        return pid

    def _ask(self, instance: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{instance}\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def kill(self, pid: int) -> None:
        self.alive.remove(pid)
        os.kill(pid, signal.SIGKILL)


@dataclass
class Storm:
    """Executors that are started and killed; what was found right after each kill."""

    zygote: Zygote
    executor: OrderExecutor
    limit: int
    longest_life_seconds: float = 0.0
    found: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    started: int = 0

    async def measure(self) -> None:
        """See how long an executor takes to its first order here; most are to live longer."""
        began = time.monotonic()
        pid = await self.zygote.start("first")
        async with asyncio.timeout(120):  # a guard against waiting indefinitely, not a measure
            while not await self._of("first", set(OrderState)):
                await asyncio.sleep(0.01)
        self.zygote.kill(pid)
        self.longest_life_seconds = 3 * (time.monotonic() - began)

    async def rage(self, dice: random.Random) -> None:
        while not self._is_over():
            self.kills += 1
            self.started += 1
            instance = f"executor-{self.started}"
            pid = await self.zygote.start(instance)
            await asyncio.sleep(dice.uniform(0, self.longest_life_seconds))
            self.zygote.kill(pid)
            self.found.update(await self._left_by(instance))

    def _is_over(self) -> bool:
        """Enough kills, and one of them between an intent and its booking."""
        if self.kills < self.limit:
            return False
        if self.found.total() == 0:
            self.longest_life_seconds *= 1.1  # the machine has become slower meanwhile
            return False
        return True

    async def _left_by(self, instance: str) -> list[str]:
        """What the dead one had begun. The ledger is read first: what the broker has not got after
        that, was not sent by then."""
        intents = await self._of(instance, {OrderState.INTENDED, OrderState.UNKNOWN})
        reports = [await self.executor.broker.query(intent) for intent in intents]
        return ["not sent" if report is None else "sent, not booked" for report in reports]

    async def _of(self, instance: str, states: set[OrderState]) -> list[str]:
        mine = (ORDERS.c.executor == instance) & ORDERS.c.state.in_([s.value for s in states])

        def ask(connection: Connection) -> list[str]:
            return list(connection.execute(select(ORDERS.c.client_order_id).where(mine)).scalars())

        return await self.executor.ledger.database.read(ask)


class Source:
    """Publishes signals so that there is always something to do."""

    def __init__(self, bus: Bus, signal_of: SignalOf, dice: random.Random) -> None:
        self._bus = bus
        self._signal_of = signal_of
        self._dice = dice
        self.ids: set[str] = set()
        self.minute = 0

    async def trade(self) -> None:
        """Let every symbol trade at its price a minute after the newest signal, again and again."""
        at = START
        while True:
            at = max(at, START + timedelta(minutes=self.minute)) + timedelta(minutes=1)
            bars = [_bar(symbol, at) for symbol in SYMBOLS]
            await self._bus.publish_many(MARKET_BARS, bars)
            await asyncio.sleep(BAR_SECONDS)

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            lag = await self._bus.lag(SIGNALS)
            missing = QUEUE - sum(row.waiting for row in lag)
            if missing > 0:
                ids = [new_id() for _ in range(missing)]
                signals = [self._signal(self.minute + number) for number in range(missing)]
                self.minute += missing
                await self._bus.publish_many(SIGNALS, signals, event_ids=ids)
                self.ids.update(ids)
            await asyncio.sleep(0.1)

    def _signal(self, minute: int) -> SignalGenerated:
        score = self._dice.randrange(30, 100)
        return self._signal_of(
            self._dice.choice(SYMBOLS),
            self._dice.choice(["BUY", "SELL"]),
            minute,
            score=score,
            priority=score // 10 * 10,
            strength=score / 100,
            price=round(self._dice.uniform(99.7, 100.3), 2),
        )


def _bar(symbol: str, at: datetime) -> BarClosed:
    return BarClosed(
        symbol=symbol,
        timestamp=at,
        interval_seconds=60,
        open=PRICE,
        high=PRICE,
        low=PRICE,
        close=PRICE,
        volume=1_000_000,
    )


async def all_done(bus: Bus, executor: OrderExecutor) -> None:
    """Until nothing waits anywhere: queue, hands, retries, broker, outbox."""
    while True:
        lag = await bus.lag(SIGNALS)
        left = sum(row.waiting + row.pending + row.delayed for row in lag)
        if (
            not left
            and not await executor.ledger.unfinished()
            and not await executor.outbox.backlog()
        ):
            return
        await asyncio.sleep(0.1)


async def published(bus: Bus, topic: Topic[Any], last: Event) -> list[Message[Any]]:
    """Every entry of a topic, up to one that this publishes."""
    stop, found = asyncio.Event(), list[Message[Any]]()
    end = await bus.publish(topic, last)
    async for message in bus.tail(topic, since="0", stop=stop):
        if message.entry_id == end:
            break
        found.append(message)
    return found


def example(model: type[Event]) -> Event:
    """An event of this kind."""
    return model.model_validate(model.model_config["json_schema_extra"]["examples"][0])  # type: ignore[index]


def environment_of(settings: Settings, redis_url: str, log: Path) -> dict[str, str]:
    return {
        "REDIS_URL": redis_url,
        "LEDGER_URL": settings.ledger_url.get_secret_value(),
        "PAPER_BROKER_URL": settings.paper_broker_url.get_secret_value(),
        "EXECUTOR_LOG": str(log),
        "BUS_LEASE_SECONDS": "1",
        # The limit is for messages that kill; here it is never the message.
        "BUS_MAX_DELIVERIES": "1000000",
        "METRICS_PORT": "0",
        "MAX_POSITIONS_US": "100",
        "MAX_POSITIONS_HK": "100",
        "SIZE_MIN_PERCENT": "0.5",
        "SIZE_MAX_PERCENT": "1",
        "OUTBOX_LEASE_SECONDS": "1",
        "OUTBOX_KEEP": "1000000",
        "LOG_FORMAT": "json",
        # A signal a minute runs far beyond the clock, through nights and weekends.
        "SESSIONS": "false",
        "SIGNAL_MAX_AGE_BARS": "1000000",
        # A life is too short to read all bars again: the market trades each second anyway.
        "BARS_REPLAY_SECONDS": "5",
        # Orders are filled by the next bar that an executor lives to bring.
        "ENTRY_TIMEOUT_SECONDS": "1000000000",
        "PAPER_VOLUME_SHARE_PERCENT": "0",
        "SIGNAL_FUTURE_TOLERANCE_SECONDS": "1000000000",
    }


async def test_executors_killed_at_random_moments_make_no_order_twice_and_lose_no_signal(
    redis_url: str, tmp_path: Path, signal_of: SignalOf, settings_of: SettingsOf
) -> None:
    dice, settings = random.Random(20261120), settings_of()
    on_sqlite = settings.ledger_url.get_secret_value().startswith("sqlite")
    environment = environment_of(settings, redis_url, tmp_path / "executors.log")
    async with (
        Zygote(environment) as zygote,
        OrderExecutor(settings) as executor,
        Bus.connect(BusConfig(url=redis_url)) as bus,
    ):
        storm = Storm(zygote, executor, KILLS if on_sqlite else KILLS // 4)
        source, stop = Source(bus, signal_of, dice), asyncio.Event()
        publishing = asyncio.create_task(source.run(stop))
        trading = asyncio.create_task(source.trade())
        try:
            await storm.measure()
            await asyncio.gather(*(storm.rage(dice) for _ in range(EXECUTORS)))
            stop.set()
            await publishing
            await finish(environment, bus, executor)
        finally:
            publishing.cancel()
            trading.cancel()
        assert await bus.dead(SIGNALS) == []
        assert await decided(executor) == source.ids
        assert await executor.verify() == []
        await assert_each_event_was_published_once(bus, executor)
    print(f"{storm.kills} kills, {dict(storm.found)}, {len(source.ids)} signals")  # noqa: T201 - shown with -s


async def finish(environment: dict[str, str], bus: Bus, executor: OrderExecutor) -> None:
    """Two executors that are not killed do what is left, and stop on request."""
    survivors = [await start_for_real(environment, number) for number in range(2)]
    try:
        async with asyncio.timeout(300):  # a guard against waiting indefinitely, not a measure
            await all_done(bus, executor)
        for survivor in survivors:
            survivor.terminate()
        assert [await survivor.wait() for survivor in survivors] == [0, 0]
    finally:
        for survivor in survivors:
            if survivor.returncode is None:
                survivor.kill()
                await survivor.wait()


async def start_for_real(environment: dict[str, str], number: int) -> asyncio.subprocess.Process:
    log = os.open(environment["EXECUTOR_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "streamdesk.order_executor",
            env=os.environ | environment | {"INSTANCE": f"survivor-{number}"},
            stdout=log,
            stderr=log,
        )
    finally:
        os.close(log)


async def decided(executor: OrderExecutor) -> set[str]:
    """Signals that the ledger has an order or a refusal for."""

    def work(connection: Any) -> set[str]:
        rows = connection.exec_driver_sql(
            "select s.signal_id from signals s left join orders o on o.signal_id = s.signal_id "
            "where (s.refusal_code is null) <> (o.signal_id is null)"
        )
        return {row[0] for row in rows}

    return await executor.ledger.database.read(work)


async def assert_each_event_was_published_once(bus: Bus, executor: OrderExecutor) -> None:
    entries = await published(bus, TRADING_ORDERS, example(OrderFilled))
    entries += await published(bus, TRADING_RISK, example(RiskAlerted))
    happened = await executor.ledger.database.read(
        lambda connection: connection.execute(select(OUTBOX.c.event_id)).scalars().all()
    )
    print(f"{len(entries) / len(happened):.2f} entries an event, of {len(happened)}")  # noqa: T201 - shown with -s
    counts = Counter(message.id for message in entries)
    assert counts <= Counter(happened), "none twice"
    if len(happened) > TRADING_ORDERS.keep:
        return  # the storm took so long on this machine that the topic's oldest are gone
    assert counts == Counter(happened)
    filled = [item.event.trade_id for item in entries if isinstance(item.event, OrderFilled)]
    at_the_broker = {
        t.trade_id for order in await executor.broker.all_reports() for t in order.trades
    }
    assert sorted(filled) == sorted(at_the_broker)
