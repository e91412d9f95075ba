"""The desk part of the chaos: faults at random, and then whether orders and books are right."""

import asyncio
import contextlib
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from streamdesk.bus import Bus, BusConfig, BusError
from streamdesk.bus.envelope import new_id
from streamdesk.console.adapters.redis_server import find_server
from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.contracts.topics import MARKET_BARS, TRADING_SIGNALS
from streamdesk.order_executor.adapters.ledger.schema import SIGNALS
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.trading.orders import OrderState
from tests.chaos.trading_floor import FLOOR_FAULTS, TradingFloor, TradingPace, open_floor

BEGAN = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
SYMBOLS = [f"S{number}.US" for number in range(20)]
CALM = TradingPace(outage_seconds=6, calm_seconds=3, bar_seconds=0.5, broker_faults=0.02)
HASTY = TradingPace(outage_seconds=1.5, calm_seconds=0.5, bar_seconds=0.3, broker_faults=0.05)
RECOVERY_SECONDS = 240  # only ends what hangs
SIGNALS_A_BAR = 4


class Market:
    """Bars of every symbol, and signals that follow them, from a known seed."""

    def __init__(self, bus: Bus, chance: random.Random, pace: TradingPace) -> None:
        self._bus = bus
        self._chance = chance
        self._pace = pace
        self._prices = dict.fromkeys(SYMBOLS, 100.0)
        self._minute = 0
        self.acknowledged: set[str] = set()
        self.sent: set[str] = set()
        self.makes_signals = True

    async def run(self) -> None:
        """Until cancelled: also while everything recovers, as a market does not stop."""
        while True:
            self._minute += 1
            at = BEGAN + timedelta(minutes=self._minute)
            bars = [self._bar(symbol, at) for symbol in SYMBOLS]
            await self._until_written(partial(self._bus.publish_many, MARKET_BARS, bars))
            if self.makes_signals:
                for symbol in self._chance.sample(SYMBOLS, SIGNALS_A_BAR):
                    await self._signal(symbol, at)
            await asyncio.sleep(self._pace.bar_seconds)

    async def _signal(self, symbol: str, at: datetime) -> None:
        side, name = self._chance.choice(("BUY", "BUY", "SELL")), new_id()
        price = self._prices[symbol]
        event = SignalGenerated.model_validate(
            {
                "symbol": symbol,
                "type": side,
                "side": side,
                "score": 65.0,
                "strength": 0.5,
                "price": price,
                "stop_loss": round(price * 0.97, 2) if side == "BUY" else None,
                "reasons": (),
                "indicators": {},
                "strategy": "chaos",
                "timestamp": at,
                "priority": 60,
                "queued_at": at,
            }
        )
        self.sent.add(name)
        await self._until_written(lambda: self._bus.publish(TRADING_SIGNALS, event, event_id=name))
        self.acknowledged.add(name)

    async def _until_written(self, write: Callable[[], Awaitable[Any]]) -> None:
        """The same write again, until it is acknowledged; the topics ignore repeats."""
        while True:
            try:
                await write()
            except BusError:
                await asyncio.sleep(0.1)
            else:
                return

    def _bar(self, symbol: str, at: datetime) -> BarClosed:
        before = self._prices[symbol]
        price = round(max(5.0, before * self._chance.uniform(0.99, 1.0101)), 2)
        self._prices[symbol] = price
        return BarClosed.model_validate(
            {
                "symbol": symbol,
                "timestamp": at,
                "interval_seconds": 60,
                "open": before,
                "high": max(before, price),
                "low": min(before, price),
                "close": price,
                "volume": 1_000_000,
            }
        )


async def strike_until(floor: TradingFloor, chance: random.Random, seconds: float) -> Counter[str]:
    """One fault after the other, each mended before the next."""
    struck, until = Counter[str](), time.monotonic() + seconds
    while time.monotonic() < until:
        name = chance.choice(list(FLOOR_FAULTS))
        print(f"{name}", file=sys.stderr, flush=True)  # noqa: T201 - progress, for a person
        await FLOOR_FAULTS[name](floor, chance)
        struck[name] += 1
        await asyncio.sleep(chance.uniform(0, floor.pace.calm_seconds))
    return struck


async def recovered(bus: Bus, executor: OrderExecutor) -> bool:
    """Whether nothing waits anywhere: queue, pending, retries, outbox.

    Orders may rest: bars keep coming, and with them signals' orders end.
    """
    lag = await bus.lag(TRADING_SIGNALS)
    if sum(row.waiting + row.pending + row.delayed for row in lag):
        return False
    waiting = {OrderState.INTENDED, OrderState.UNKNOWN, OrderState.PENDING_CANCEL}
    unfinished = await executor.ledger.unfinished()
    return not any(order.state in waiting for order in unfinished) and (
        not await executor.outbox.backlog()
    )


async def verdict(bus: Bus, executor: OrderExecutor, market: Market) -> dict[str, Any]:
    """What is wrong after everything has recovered; each figure is to be 0."""

    def decided(connection: Connection) -> set[str]:
        return set(connection.execute(select(SIGNALS.c.signal_id)).scalars())

    known = await executor.ledger.database.read(decided)
    reports = await executor.broker.all_reports()
    portfolio = await executor.ledger.portfolio()
    ids = Counter(report.client_order_id for report in reports)
    unprotected = [
        holding.symbol
        for holding in portfolio.holdings.values()
        if holding.stop_loss is None
        or (
            holding.market_price < holding.stop_loss and holding.symbol not in portfolio.live_orders
        )
    ]
    differences = [str(item) for item in await executor.verify()]
    for item in differences[:10]:
        print(item, file=sys.stderr)  # noqa: T201 - progress, for a person
    return {
        "signals": len(market.acknowledged),
        "orders": len(reports),
        "fills": sum(len(report.trades) for report in reports),
        "doubled": sum(count - 1 for count in ids.values()),
        "lost": len(market.acknowledged - known),
        "invented": len(known - market.sent),
        "dead": len(await bus.dead(TRADING_SIGNALS)),
        "differences": len(differences),
        "unprotected": len(unprotected),
    }


WRONG = "doubled", "lost", "invented", "dead", "differences", "unprotected", "ended_by_themselves"


async def trading_round(
    binary: str, folder: Path, seconds: float, seed: int, pace: TradingPace
) -> dict[str, Any]:
    """One round; returns its figures.

    Raises:
        TimeoutError: it does not recover.
    """
    chance, on_server = random.Random(seed), bool(seed % 2)
    async with open_floor(binary, folder, pace, on_server=on_server) as floor:
        url = f"redis://127.0.0.1:{floor.server.port}/0"
        async with (
            Bus.connect(BusConfig(url=url)) as bus,
            OrderExecutor(floor.settings) as executor,
        ):
            market = Market(bus, random.Random(seed), pace)
            trading = asyncio.create_task(market.run())
            struck = await strike_until(floor, chance, seconds)
            market.makes_signals = False
            began = time.monotonic()
            async with asyncio.timeout(RECOVERY_SECONDS):
                while not await recovered(bus, executor):
                    await asyncio.sleep(0.2)
            recovery = time.monotonic() - began
            trading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await trading
            await asyncio.sleep(1)
            ended = floor.ended_by_themselves()
            floor.end()
            await executor.reconciliation.reconcile()
            figures = await verdict(bus, executor, market)
    return {
        "part": "desk",
        "seed": seed,
        "seconds": seconds,
        "ledger": "postgres" if floor.ledger.server else "sqlite",
        **figures,
        "ended_by_themselves": ended,
        "recovery_seconds": round(recovery, 1),
        "faults": dict(sorted(struck.items())),
    }


def is_right(figures: dict[str, Any]) -> bool:
    """Whether no guarantee was violated."""
    return not any(figures[name] for name in WRONG)


def run_trading(seconds: float, seed: int, server: str | None) -> bool:
    """A round of the desk part; prints its figures as one JSON object, last."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        binary = shutil.which(server) if server else str(find_server(folder))
        assert binary is not None, f"no {server} on the PATH"
        try:
            figures = asyncio.run(trading_round(binary, folder, seconds, seed, CALM))
        except TimeoutError:
            tail = (folder / "executors.log").read_text()[-4000:]
            print(f"it does not recover:\n{tail}", file=sys.stderr)  # noqa: T201 - for a person
            return False
    print(json.dumps(figures))  # noqa: T201 - the result
    return is_right(figures)
