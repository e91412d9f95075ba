import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

from streamdesk.bus import Bus, BusConfig
from streamdesk.console.adapters import desk_bus
from streamdesk.console.application.count_events import Tally
from streamdesk.console.domain.counts import RunCounts
from streamdesk.contracts.events import BarClosed, OrderFilled, OrderRejected, OrderSubmitted, Side
from streamdesk.contracts.topics import MARKET_BARS, TRADING_ORDERS

NOW = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)
ORDER = {
    "client_order_id": "sd-1",
    "signal_id": "s",
    "symbol": "AAPL.US",
    "side": Side.BUY,
    "timestamp": NOW,
}


def submitted() -> OrderSubmitted:
    return OrderSubmitted.model_validate({**ORDER, "quantity": 10, "limit_price": "100"})


def filled() -> OrderFilled:
    return OrderFilled.model_validate(
        {
            **ORDER,
            "trade_id": "t",
            "quantity": 5,
            "price": Decimal(100),
            "fee": Decimal(1),
            "currency": "USD",
            "cumulative_quantity": 5,
            "order_quantity": 10,
        }
    )


def bar(minute: int) -> BarClosed:
    return BarClosed(
        symbol="AAPL.US",
        timestamp=NOW.replace(minute=minute),
        interval_seconds=60,
        open=1,
        high=1,
        low=1,
        close=1,
        volume=0,
    )


def test_orders_are_those_submitted_and_fills_are_trades() -> None:
    counts = RunCounts()
    rejected = OrderRejected.model_validate({**ORDER, "code": "NO_FUNDS", "reason": "none"})
    for event in (submitted(), filled(), filled(), rejected):
        counts.add(event)
    result = counts.result(dead=0, errors=0)
    assert (result.orders, result.fills, counts.total) == (1, 2, 4)


def test_the_result_has_exactly_its_eight_figures_in_the_order_of_the_flow() -> None:
    assert list(RunCounts().result(dead=3, errors=2).as_dict().items()) == [
        ("bars", 0),
        ("signals", 0),
        ("orders", 0),
        ("fills", 0),
        ("news_raw", 0),
        ("news_filtered", 0),
        ("dead", 3),
        ("errors", 2),
    ]


def test_the_summary_says_when_the_bus_cannot_be_asked() -> None:
    assert "redis unreachable" in RunCounts().summary(None)
    assert "waiting 7" in RunCounts().summary(7)


async def test_the_tally_counts_every_bar_of_a_frame_and_everything_written_before_the_end() -> (
    None
):
    url = f"memory://{uuid4().hex}"
    async with Bus.connect(BusConfig(url=url)) as bus:
        tally = Tally(bus, desk_bus.topics({}))
        await bus.publish_many(MARKET_BARS, [bar(minute) for minute in range(30)])
        await bus.publish(TRADING_ORDERS, submitted())
        async with asyncio.TaskGroup() as group:
            group.create_task(tally.run("0"))
            await tally.finish()
        result = tally.counts.result(dead=await tally.dead(), errors=0)
    assert (result.bars, result.orders, result.dead) == (30, 1, 0)


def test_topics_follow_the_variables_that_the_services_follow() -> None:
    topics = desk_bus.topics({"SIGNAL_QUEUE_KEY": "mine", "TASKS_KEY": ""})
    assert topics["signals"].key == "mine"
    assert topics["tasks"].key == "tasks"


def test_the_reports_on_bars_follow_the_key_of_the_bars() -> None:
    assert desk_bus.topics({})["bars_handled"].key == "market:bars-handled"
    assert desk_bus.topics({"BARS_KEY": "mine"})["bars_handled"].key == "mine-handled"
