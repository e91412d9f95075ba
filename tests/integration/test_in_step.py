"""A recording that is played in step gives one ledger, at any speed, in real processes."""

import asyncio
import json
import math
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streamdesk.market.bars import BarSequence
from streamdesk.order_executor.adapters.ledger.digest import dump
from streamdesk.order_executor.config import Settings as ExecutorSettings
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.runtime import Drain
from streamdesk.signal_generator import factory
from streamdesk.signal_generator.application.scan_bars import BarScan
from streamdesk.signal_generator.config import Settings as GeneratorSettings
from streamdesk.signal_generator.domain.cursor import signal_id
from streamdesk.signal_generator.domain.outliers import OutlierFilter
from streamdesk.strategy.scanner import Scanner

Start = Callable[..., Any]
BEGAN = 1_779_975_400  # 28 May 2026, 09:36 in New York: the recording ends before the session
SYMBOLS = 4
STEPS = 160


def recording(folder: Path) -> Path:
    """Bars in which stops are crossed, and several instruments give signals at one time."""
    path, chance = folder / "bars.csv", random.Random(11)
    lines = ["symbol,date,open,high,low,close,volume"]
    prices = [100.0] * SYMBOLS
    for step in range(STEPS):
        at = datetime.fromtimestamp(BEGAN + 60 * step, UTC).isoformat()
        for number, first in enumerate(prices):
            last = first * (1 + chance.gauss(0, 0.006) + 0.004 * math.sin(step / 9 + number))
            high, low = max(first, last) * 1.002, min(first, last) * 0.998
            row = (f"{price:.2f}" for price in (first, high, low, last))
            lines.append(f"S{number}.US,{at},{','.join(row)},{100_000 + step}")
            prices[number] = last
    path.write_text("\n".join(lines))
    return path


def executor_settings(ledger: Path) -> ExecutorSettings:
    """Settings on the books in a folder, under the names that `up` gives them."""
    ledger.mkdir(exist_ok=True)
    return ExecutorSettings.model_validate(
        {
            "ledger_url": f"sqlite:///{ledger / 'ledger.db'}",
            "paper_broker_url": f"sqlite:///{ledger / 'paper-broker.db'}",
            "instance": "order-executor",
        }
    )


def generator_settings(path: Path) -> GeneratorSettings:
    return GeneratorSettings.model_validate({"feed": "recorded", "feed_file": path})


async def books(path: Path, ledger: Path) -> str:
    """The ledger as text, valued at the last bars: when it was valued last is a matter of time."""
    async with OrderExecutor(executor_settings(ledger)) as executor:
        await executor.reconciliation.reconcile()
        batches = [
            batch
            async for batch in factory.recorded_feed(generator_settings(path), path).live(Drain())
        ]
        for bar in batches[-1].bars:
            await executor.on_bar(bar)
        await executor.protection.value()
        assert await executor.verify() == []
        return json.dumps(await dump(executor.ledger), indent=1)


async def played_by_calls(path: Path, ledger: Path) -> None:
    """Each time's bars, then its signals, one call after another, in one process."""
    settings = generator_settings(path)
    feed = factory.recorded_feed(settings, path)
    sequence, outliers = BarSequence(frozenset(feed.symbols)), OutlierFilter(5, 3)
    scan = BarScan("calls", sequence, outliers, Scanner(settings.rules()))
    async with OrderExecutor(executor_settings(ledger)) as executor:
        async for batch in feed.live(Drain()):
            scanned = scan.scan(batch)
            for bar in scanned.bars:
                await executor.on_bar(bar)
            for draft in scanned.drafts:
                name = signal_id("calls", draft)
                await executor.on_signal(name, draft.queued(datetime.now(UTC)))


async def played_by_a_desk(up: Start, path: Path, *options: str, **variables: str) -> Path:
    """The folder of the ledger of a desk that has played the recording to its end."""
    desk = up("--bars", str(path), *options, **variables)
    await asyncio.to_thread(desk.wait_until_up)
    await asyncio.to_thread(desk.wait_for, lambda: feed_ended(desk), "the feed's end")
    await asyncio.to_thread(desk.interrupt)
    assert desk.errors_logged() == []
    ledger: Path = desk.folder / "ledger"
    return ledger


def feed_ended(desk: Any) -> bool:
    return any(line["event"] == "feed ended" for line in desk.log("signal-generator"))


async def test_every_run_of_a_recording_gives_the_ledger_of_a_replay_by_calls(
    up: Start, tmp_path: Path
) -> None:
    path = recording(tmp_path)
    await played_by_calls(path, tmp_path / "calls")
    wanted = await books(path, tmp_path / "calls")
    orders = json.loads(wanted)["orders"]
    assert {order["origin"] for order in orders} >= {"SIGNAL", "STOP_LOSS"}
    for speed in ("0", "0", "400"):
        ledger = await played_by_a_desk(up, path, "--speed", speed)
        assert await books(path, ledger) == wanted, f"at speed {speed}"
