"""Twenty years of real daily bars through the whole pipeline, exact to the cent and repeatable.

The pipeline is the services' own parts on a real bus: feed, scanner and publication of the
signal-generator; handler, ledger, paper broker and outbox of the order-executor. For the ledger
to be the same twice, the executor must see bars and signals in one order, so the feed waits after
every bar until the executor has seen that bar and then handled its signal. The desk with two
executors is tested with the real processes, without the claim of one ledger: that needs one
executor, see `test_in_step.py`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from streamdesk.bus import Bus, BusConfig, Message
from streamdesk.contracts.base import Event, Topic
from streamdesk.contracts.events import (
    OrderCanceled,
    OrderEvent,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    Side,
    SignalGenerated,
)
from streamdesk.contracts.topics import MARKET_BARS, TRADING_ORDERS, TRADING_SIGNALS
from streamdesk.order_executor.adapters.ledger.digest import Dump, dump
from streamdesk.order_executor.application.publish_outbox import OutboxPublisher
from streamdesk.order_executor.config import Settings as ExecutorSettings
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.runtime import BusMetrics, Drain
from streamdesk.signal_generator import factory
from streamdesk.signal_generator.adapters.feeds.port import Feed, FeedBatch
from streamdesk.signal_generator.adapters.position import FeedPosition
from streamdesk.signal_generator.adapters.publisher import SignalPublisher
from streamdesk.signal_generator.config import Settings as GeneratorSettings
from streamdesk.signal_generator.domain.cursor import FeedCursor
from streamdesk.signal_generator.domain.outliers import OutlierFilter
from streamdesk.signal_generator.entrypoints.feed import FeedRunner
from streamdesk.strategy.scanner import Scanner

SYMBOL = "SPX.US"
DAYS = 5_031
INITIAL_CASH = Decimal(1_000_000)
CENT = Decimal("0.01")
FORMAT = {"FEED_SYMBOL": SYMBOL, "FEED_TIME_FORMAT": "%m/%d/%Y"}
Start = Callable[..., Any]


def recording() -> Path:
    """The bars that the package `arch` ships, found without importing it."""
    spec = find_spec("arch")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "data" / "sp500" / "sp500.csv.gz"


class PublishedSignals(BusMetrics):
    """Counts the signals that are in the queue."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def published(self, topic: str, count: int) -> None:
        super().published(topic, count)
        self.count += count if topic == TRADING_SIGNALS.name else 0


@dataclass
class Executor:
    """An order-executor with one worker that sees each bar, then its signal."""

    desk: OrderExecutor
    bars: AsyncIterator[Message[Any]]
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    handled: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def on_signal(self, message: Message[SignalGenerated]) -> None:
        await self.turn.wait()
        await self.desk.handler(message)
        self.handled.release()

    async def catch_up(self, bars: int, signals: int) -> None:
        """See so many bars, then handle so many signals."""
        for _ in range(bars):
            await self.desk.on_bar((await anext(self.bars)).event)
        self.turn.set()
        for _ in range(signals):
            await self.handled.acquire()
        self.turn.clear()


class InStep:
    """A feed that delivers its next bar when the executor is done with the last."""

    def __init__(self, feed: Feed, executor: Executor, published: PublishedSignals) -> None:
        self._feed = feed
        self._executor = executor
        self._published = published
        self.name, self.run, self.symbols = feed.name, feed.run, feed.symbols
        self.total_bars = feed.total_bars

    def resume(self, cursor: FeedCursor, drain: Drain) -> AsyncIterator[FeedBatch]:
        return self._feed.resume(cursor, drain)

    def history(self, drain: Drain) -> AsyncIterator[FeedBatch]:
        return self._feed.history(drain)

    async def live(self, drain: Drain) -> AsyncIterator[FeedBatch]:
        signals = 0
        async for batch in self._feed.live(drain):
            assert batch.refused == ()
            yield batch
            await self._executor.catch_up(len(batch.bars), self._published.count - signals)
            signals = self._published.count


@dataclass
class Run:
    """The result of a run."""

    signals: dict[str, SignalGenerated]
    orders: list[Event]
    ledger: Dump
    digest: str
    findings: list[str]
    cash: Decimal
    equity: Decimal
    positions_value: Decimal
    bars: int


async def run_pipeline(url: str, folder: Path) -> Run:
    """Everything from the first bar to the last, on a bus of its own."""
    published = PublishedSignals()
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(
            Bus.connect(BusConfig(url=url, service="test"), observer=published)
        )
        desk = await stack.enter_async_context(OrderExecutor(executor_settings(folder)))
        await desk.reconciliation.reconcile()
        executor = Executor(desk, bus.tail(MARKET_BARS, since="0"))
        stop = asyncio.Event()
        group = TRADING_SIGNALS.groups[0]
        subscription = bus.subscribe(
            TRADING_SIGNALS, group, executor.on_signal, batch=1, concurrency=1
        )
        consuming = asyncio.create_task(subscription.run(stop))
        await generator(bus, executor, published).run(Drain())
        stop.set()
        await consuming
        outgoing = OutboxPublisher(desk.outbox, bus)
        while await outgoing.publish_some():
            pass
        return await collect(bus, desk, published.count)


def executor_settings(folder: Path) -> ExecutorSettings:
    """Settings on the books in a folder, under the names that `up` gives them."""
    return ExecutorSettings.model_validate(
        {
            "ledger_url": f"sqlite:///{folder / 'ledger.db'}",
            "paper_broker_url": f"sqlite:///{folder / 'paper-broker.db'}",
            "initial_cash": INITIAL_CASH,
            "order_executor_workers": 1,
            "instance": "executor-1",
        }
    )


def generator(bus: Bus, executor: Executor, published: PublishedSignals) -> FeedRunner:
    settings = GeneratorSettings.model_validate(
        {
            "feed": "recorded",
            "feed_file": recording(),
            **{name.lower(): value for name, value in FORMAT.items()},
        }
    )
    feed = InStep(factory.recorded_feed(settings, recording()), executor, published)
    publisher = SignalPublisher(
        bus, factory.topics(settings), factory.utc_now, wait_for_room=settings.waits_for_room
    )
    scanner = Scanner(settings.rules())
    position = FeedPosition(bus, MARKET_BARS)
    return FeedRunner(
        factory.feed_scan(
            feed, scanner, publisher, position, outliers=OutlierFilter(5, 3), exit_at_end=True
        ),
        60,
    )


async def first_of(bus: Bus, topic: Topic[Any], count: int) -> dict[str, Any]:
    """The first so many events of a topic, by id."""
    events: dict[str, Any] = {}
    async for message in bus.tail(topic, since="0"):
        events[message.id] = message.event
        if len(events) == count:
            break
    return events


async def all_orders(bus: Bus) -> list[Event]:
    """All events of the executors, read up to a mark that is published after them."""
    mark = OrderCanceled.model_validate(
        {
            "client_order_id": "mark",
            "signal_id": "mark",
            "symbol": "MARK.US",
            "side": "BUY",
            "timestamp": datetime.now(UTC),
            "remaining_quantity": 1,
            "reason": "mark",
        }
    )
    await bus.publish(TRADING_ORDERS, mark)
    events: list[Event] = []
    async for message in bus.tail(TRADING_ORDERS, since="0"):
        if isinstance(message.event, OrderEvent) and message.event.signal_id == "mark":
            break
        events.append(message.event)
    return events


async def collect(bus: Bus, desk: OrderExecutor, signal_count: int) -> Run:
    signals = await first_of(bus, TRADING_SIGNALS, signal_count)
    portfolio = await desk.ledger.portfolio()
    return Run(
        signals=signals,
        orders=await all_orders(bus),
        ledger=await dump(desk.ledger),
        digest=await desk.digest(),
        findings=[str(finding) for finding in await desk.verify()],
        cash=portfolio.cash,
        equity=portfolio.equity,
        positions_value=portfolio.positions_value,
        bars=len(await first_of(bus, MARKET_BARS, DAYS)),
    )


def check_books(run: Run) -> None:
    """Check that everything adds up, recomputed from the events alone."""
    assert run.findings == []
    assert run.cash + run.positions_value == run.equity
    fills = [event for event in run.orders if isinstance(event, OrderFilled)]
    cash = INITIAL_CASH
    shares = 0
    for fill in fills:
        sign = 1 if fill.side is Side.BUY else -1
        amount = -sign * fill.quantity * fill.price - fill.fee
        cash += amount.quantize(CENT, ROUND_HALF_EVEN)
        shares += sign * fill.quantity
    assert cash == run.cash
    held = {row["symbol"]: row for row in run.ledger["positions"]}
    assert shares == int(held[SYMBOL]["quantity"] or 0 if SYMBOL in held else 0)
    assert len({fill.trade_id for fill in fills}) == len(fills) == len(run.ledger["fills"])


def check_answers(run: Run) -> None:
    """Every signal has its order or its recorded refusal, and only one of them."""
    ordered = {e.signal_id for e in run.orders if isinstance(e, OrderSubmitted)}
    refused = {e.signal_id for e in run.orders if isinstance(e, OrderRejected)}
    refused -= ordered  # by the broker: its stop was quicker than the sell
    assert ordered | refused >= set(run.signals)
    assert len(run.ledger["refusals"]) == len(refused)
    by_order: dict[str, int] = {}
    for event in run.orders:
        if isinstance(event, OrderFilled):
            by_order[event.client_order_id] = (
                by_order.get(event.client_order_id, 0) + event.quantity
            )
    submitted = {e.client_order_id: e for e in run.orders if isinstance(e, OrderSubmitted)}
    assert set(by_order) <= set(submitted)
    assert all(quantity <= submitted[order].quantity for order, quantity in by_order.items())
    assert {e.symbol for e in run.orders if isinstance(e, OrderEvent)} == {SYMBOL}


@pytest.fixture(scope="session")
def private_url(start_server: Callable[..., Any]) -> str:
    """A server for this test alone: it uses the desk's own keys."""
    url: str = start_server().url
    return url


async def test_twenty_years_of_real_bars_add_up_to_the_cent_and_repeat_exactly(
    tmp_path: Path, private_url: str
) -> None:
    folders = tmp_path / "first", tmp_path / "second"
    for folder in folders:
        folder.mkdir()
    first = await run_pipeline(private_url, folders[0])
    second = await run_pipeline(f"memory://{uuid4().hex}", folders[1])
    for run in (first, second):
        assert run.bars == DAYS
        assert len(run.signals) > 100
        assert sum(isinstance(event, OrderFilled) for event in run.orders) > 100
        check_answers(run)
        check_books(run)
    assert json.dumps(first.ledger) == json.dumps(second.ledger)
    assert first.digest == second.digest
    assert [s.model_dump(exclude={"queued_at"}) for s in first.signals.values()] == [
        s.model_dump(exclude={"queued_at"}) for s in second.signals.values()
    ]


async def test_a_running_desk_answers_every_signal_of_the_recording_and_its_books_agree(
    up: Start, start_server: Callable[..., Any]
) -> None:
    server = start_server()  # outlives the desk, so that all it said can be read afterwards
    desk = up(
        *("--bars", str(recording()), "--speed", "0", "--executors", "2"),
        redis_url=server.url,
        # Bars and signals race, as in a live market.
        FEED_IN_STEP="false",
        **FORMAT,
    )
    await asyncio.to_thread(desk.wait_until_up)
    await asyncio.to_thread(desk.wait_for, lambda: bool(feed_ended(desk)), "the feed's end")
    count = feed_ended(desk)["signals"]
    async with Bus.connect(BusConfig(url=server.url, service="test")) as bus:
        async with asyncio.timeout(120):
            while await unfinished(bus):
                await asyncio.sleep(0.05)
        await asyncio.to_thread(desk.interrupt)
        async with OrderExecutor(executor_settings(desk.folder / "ledger")) as closed:
            run = await collect(bus, closed, count)
    assert desk.errors_logged() == []
    assert (run.bars, len(run.signals)) == (DAYS, count)
    assert count > 100
    check_answers(run)
    check_books(run)


def feed_ended(desk: Any) -> dict[str, Any]:
    """What the generator said at the end of the recording; empty before."""
    logged: list[dict[str, Any]] = desk.log("signal-generator")
    return next((line for line in logged if line["event"] == "feed ended"), {})


async def unfinished(bus: Bus) -> int:
    """Signals that no executor has finished."""
    return sum(row.waiting + row.pending + row.delayed for row in await bus.lag(TRADING_SIGNALS))
