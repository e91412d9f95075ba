import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import pytest
from pydantic import ValidationError

from streamdesk.bus import Bus, BusConfig, BusUnavailableError, Message
from streamdesk.contracts.events import BarClosed, PortfolioValued, SignalGenerated
from streamdesk.contracts.topics import MARKET_BARS, TRADING_ORDERS, TRADING_RISK, TRADING_SIGNALS
from streamdesk.order_executor.application.publish_outbox import OutboxPublisher
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.factory import OrderExecutor, build
from streamdesk.runtime import Drain, Service
from streamdesk.runtime.probes import Health
from streamdesk.trading.market_tables import TABLE_FILES, built_in
from streamdesk.trading.markets import MarketCode

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
SettingsOf = Callable[..., Settings]
START = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)

PORTFOLIO = PortfolioValued.model_validate(
    PortfolioValued.model_config["json_schema_extra"]["examples"][0]  # type: ignore[index]
)


@pytest.fixture
def bus_url() -> str:
    """An in-process bus of the test's own."""
    return f"memory://{uuid4()}"


class Running:
    """The service's tasks on an in-process bus, until the end of the block."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.drain = Drain()
        self.health = Health(self.drain)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        service = Service("order-executor", self.settings, self.health)
        tasks = await self._stack.enter_async_context(build(self.settings, service))
        group = await self._stack.enter_async_context(asyncio.TaskGroup())
        for task in tasks:
            group.create_task(task.run(self.drain), name=task.name)  # type: ignore[arg-type]
        self.health.started = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.drain.request()
        await self._stack.aclose()


async def until(bus: Bus, topic: Any, kind: str, times: int = 1) -> list[Message[Any]]:
    """Every message of the topic up to the n-th of this type."""
    seen: list[Message[Any]] = []
    async for message in bus.tail(topic, since="0"):
        seen.append(message)
        if sum(item.event.type_name() == kind for item in seen) == times:
            break
    return seen


async def test_a_published_signal_comes_out_as_orders_fills_and_a_portfolio(
    bus_url: str, settings_of: SettingsOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    settings = settings_of(redis_url=bus_url, order_executor_workers=1)
    async with (
        Bus.connect(BusConfig(url=bus_url)) as bus,
        Running(settings) as running,
    ):
        await bus.publish(TRADING_SIGNALS, signal_of())
        await bus.publish(TRADING_SIGNALS, signal_of("4321.HK"))
        seen = await until(bus, TRADING_ORDERS, "OrderRejected")
        names = [message.event.type_name() for message in seen]
        assert [n for n in dict.fromkeys(names) if n != "PortfolioValued"] == [
            "OrderSubmitted", "OrderAccepted", "OrderRejected",
        ]  # fmt: skip
        assert seen[-1].event.code == "UNKNOWN_SYMBOL"
        await bus.publish_many(MARKET_BARS, [bar_of(minute=1)])
        await until(bus, TRADING_ORDERS, "OrderFilled")
        await until(bus, TRADING_ORDERS, "PortfolioValued")
        assert running.health.readiness()[0]


async def test_no_signal_is_taken_before_the_books_are_reconciled(
    bus_url: str, settings_of: SettingsOf, signal_of: SignalOf
) -> None:
    settings, drain = settings_of(redis_url=bus_url), Drain()
    service = Service("order-executor", settings, Health(drain))
    async with (
        Bus.connect(BusConfig(url=bus_url)) as bus,
        build(settings, service) as tasks,
    ):
        await bus.publish(TRADING_SIGNALS, signal_of())
        # Nothing reconciles here: only the task that takes signals runs.
        (signals,) = (task for task in tasks if task.name == "signals")
        running = asyncio.ensure_future(signals.run(drain))
        await asyncio.sleep(0.3)
        (lag,) = await bus.lag(TRADING_SIGNALS)
        drain.request()
        await running
    assert (lag.waiting, lag.pending) == (1, 0)


async def test_a_bar_on_the_bus_triggers_the_exit_of_a_position(
    bus_url: str, settings_of: SettingsOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    settings = settings_of(redis_url=bus_url)
    async with Bus.connect(BusConfig(url=bus_url)) as bus, Running(settings):
        await bus.publish(TRADING_SIGNALS, signal_of(stop_loss=95.0))
        await until(bus, TRADING_ORDERS, "OrderAccepted")
        await bus.publish_many(MARKET_BARS, [bar_of(minute=1)])
        async for message in bus.tail(TRADING_ORDERS, since="0"):
            if isinstance(message.event, PortfolioValued) and message.event.positions:
                break
        await bus.publish_many(MARKET_BARS, [bar_of("B.US"), bar_of(minute=2, price=94.0)])
        alerts = await until(bus, TRADING_RISK, "RiskAlerted")
        assert alerts[-1].event.code == "STOP_LOSS_CROSSED"
        await until(bus, TRADING_ORDERS, "OrderSubmitted", times=2)


async def test_a_change_of_prices_is_published_without_a_fill(
    bus_url: str, settings_of: SettingsOf, signal_of: SignalOf, bar_of: BarOf
) -> None:
    settings = settings_of(redis_url=bus_url, valuation_interval_seconds=0.01)
    async with Bus.connect(BusConfig(url=bus_url)) as bus, Running(settings):
        await bus.publish(TRADING_SIGNALS, signal_of())
        await until(bus, TRADING_ORDERS, "OrderAccepted")
        await bus.publish_many(MARKET_BARS, [bar_of(minute=1)])
        published = False
        async for message in bus.tail(TRADING_ORDERS, since="0"):
            event = message.event
            if not isinstance(event, PortfolioValued) or not event.positions:
                continue
            if event.positions[0].market_price == 123:
                break
            if not published:
                await bus.publish_many(MARKET_BARS, [bar_of(minute=2, price=123.0)])
                published = True


async def test_higher_scores_are_executed_first(
    bus_url: str, settings_of: SettingsOf, signal_of: SignalOf
) -> None:
    settings = settings_of(redis_url=bus_url, order_executor_workers=1)
    async with Bus.connect(BusConfig(url=bus_url)) as bus:
        for score in (35, 65, 50):
            signal = signal_of(f"S{score}.US", score=score, priority=score // 10 * 10)
            await bus.publish(TRADING_SIGNALS, signal)
        async with Running(settings):
            seen = await until(bus, TRADING_ORDERS, "OrderSubmitted", times=3)
    scores = [m.event.score for m in seen if m.event.type_name() == "OrderSubmitted"]
    assert scores == [65, 50, 35]


async def test_what_a_dead_executor_left_in_the_outbox_is_published_by_another(
    bus_url: str, settings_of: SettingsOf, signal_of: SignalOf, executor_of: ExecutorOf
) -> None:
    dead = await executor_of(instance="dead")
    await dead.on_signal("signal-1", signal_of())
    assert await dead.outbox.backlog() > 0
    settings = settings_of(redis_url=bus_url)
    async with Bus.connect(BusConfig(url=bus_url)) as bus, Running(settings):
        await until(bus, TRADING_ORDERS, "PortfolioValued")


async def test_only_one_executor_publishes_at_a_time(executor_of: ExecutorOf) -> None:
    first, second = await executor_of(), await executor_of(instance="executor-2")
    assert await first.outbox.take_lead()
    assert not await second.outbox.take_lead()
    assert await first.outbox.take_lead()
    await first.outbox.give_up_lead()
    assert await second.outbox.take_lead()


async def entries(bus: Bus) -> list[str]:
    """The event id of each entry of the orders' topic, up to one that this publishes."""
    last = await bus.publish(TRADING_ORDERS, PORTFOLIO)
    found: list[str] = []
    async for message in bus.tail(TRADING_ORDERS, since="0"):
        if message.entry_id == last:
            break
        found.append(message.id)
    return found


async def test_an_event_that_a_killed_executor_did_not_note_has_one_entry_all_the_same(
    start_server: Callable[..., Any], executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    killed, other = await executor_of(), await executor_of(instance="executor-2")
    await killed.on_signal("signal-1", signal_of())
    happened = [row.event_id for row in await killed.outbox.unpublished(100)]

    async def kill(_: Any) -> None:
        raise BusUnavailableError("killed before it was noted")

    killed.outbox.published = kill  # type: ignore[method-assign, assignment]
    async with Bus.connect(BusConfig(url=start_server().url)) as bus:
        with pytest.raises(BusUnavailableError):
            await OutboxPublisher(killed.outbox, bus).publish_some()
        await OutboxPublisher(other.outbox, bus).publish_some()
        assert await entries(bus) == happened


async def test_an_executor_that_stalls_while_another_takes_over_publishes_nothing_again(
    start_server: Callable[..., Any], executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    stalled, other = await executor_of(), await executor_of(instance="executor-2")
    await stalled.on_signal("signal-1", signal_of())
    read = stalled.outbox.unpublished
    async with Bus.connect(BusConfig(url=start_server().url)) as bus:

        async def read_and_stall(limit: int) -> Any:
            rows = await read(limit)
            await other.on_signal("signal-2", signal_of("MSFT.US", minute=1))
            await OutboxPublisher(other.outbox, bus).publish_some()
            return rows

        happened = [row.event_id for row in await read(100)]
        stalled.outbox.unpublished = read_and_stall  # type: ignore[method-assign]
        await OutboxPublisher(stalled.outbox, bus).publish_some()
        found = await entries(bus)
    assert found[: len(happened)] == happened
    assert len(found) == len(set(found)) > len(happened)


async def test_published_events_are_forgotten_after_a_while_and_waiting_ones_never(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of(outbox_keep=0, outbox_lease_seconds=0.001)
    await executor.on_signal("signal-1", signal_of())
    [first, *rest] = await executor.outbox.unpublished(100)
    await executor.outbox.published([first])
    assert await executor.outbox.take_lead()
    assert await executor.outbox.unpublished(100) == rest


async def test_without_a_server_events_wait_and_the_stop_does_not(
    settings_of: SettingsOf, executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    before = await executor_of()
    await before.on_signal("signal-1", signal_of())
    waiting = await before.outbox.backlog()
    settings = settings_of(redis_url="redis://127.0.0.1:1/0", grace_seconds=1)
    async with Running(settings):
        await asyncio.sleep(0)
    assert await before.outbox.backlog() >= waiting


def test_settings_become_the_rules_numbers(settings_of: SettingsOf) -> None:
    settings = settings_of(max_positions_hk=3, hk_commission_min="5", lot_sizes={"0001.hk": 7})
    policy = settings.policy(built_in())
    assert policy.max_positions_by_market == {MarketCode.HK: 3, MarketCode.US: 5}
    assert policy.fees[MarketCode.HK].at(START).commission.minimum == 5
    instrument = policy.instruments.find("1.HK", START)
    assert instrument is not None
    assert instrument.lot_size == 7


@pytest.mark.parametrize(
    "bad",
    [
        {"ledger_url": "desk.db"},
        {"size_min_percent": 40},
        {"initial_cash": "1.005"},
        {"usd_per_hkd": 0},
        {"usd_per_hkd": "0.1273"},  # 7.855 HKD a dollar
        {"usd_per_hkd": "0.1291"},  # 7.746
        {"usd_per_hkd": "7.8"},  # the wrong way round
        {"order_executor_workers": 0},
        {"lot_sizes": {"1.HK": 0}},
        {"lot_sizes": {"HSBC": 400}},
    ],
)
def test_a_setting_that_cannot_work_is_refused(
    settings_of: SettingsOf, bad: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        settings_of(**bad)


def run_main(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streamdesk.order_executor", *arguments]
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=False
    )


def test_help_lists_the_settings(tmp_path: Path) -> None:
    result = run_main(tmp_path, "--help")
    assert result.returncode == 0
    assert "ORDER_EXECUTOR_WORKERS" in result.stdout


async def test_a_users_tables_count_in_what_a_trade_costs(
    settings_of: SettingsOf, signal_of: SignalOf, tmp_path: Path
) -> None:
    header = ",".join(TABLE_FILES["fees.csv"])
    row = "US,city tax,2026-11-01,buy,value,0.01,,,nearest cent,the city"
    (tmp_path / "fees.csv").write_text(f"{header}\n{row}\n")
    settings = settings_of(market_tables_folder=tmp_path, us_commission_min=0)
    async with OrderExecutor(settings) as executor:
        await executor.on_signal("signal-1", signal_of())
        reports = await executor.broker.all_reports()
    [trades] = [report.trades for report in reports]
    value = sum(trade.quantity * trade.price for trade in trades)
    assert sum(trade.fee or 0 for trade in trades) >= value / 100


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({}, "content is ''; expected some of lots.csv, ticks.csv, fees.csv"),
        ({"fee.csv": ""}, "content is 'fee.csv'; expected some of lots.csv, ticks.csv, fees.csv"),
        (
            {"lots.csv": "symbol,from,lot,source\n700.HK,2026-11-01,ten,me\n"},
            "lots.csv line 2: lot is 'ten'; expected a whole number from 1 on",
        ),
    ],
)
def test_tables_that_cannot_be_used_end_the_process_with_one_line(
    tmp_path: Path, files: dict[str, str], complaint: str
) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    result = run_main(tmp_path, MARKET_TABLES_FOLDER=str(folder), METRICS_PORT="0")
    assert result.returncode == 2
    last = result.stderr.splitlines()[-1]
    assert "MARKET_TABLES_FOLDER" in last
    assert complaint in last


def test_a_folder_that_cannot_be_made_ends_the_process_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    url = f"sqlite:///{tmp_path / 'file' / 'ledger.db'}"
    result = run_main(tmp_path, LEDGER_URL=url, METRICS_PORT="0")
    assert result.returncode == 2
    assert "LEDGER_URL" in result.stderr.splitlines()[-1]
