"""Splits and dividends of shares that are held, and of orders that rest."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.order_executor.adapters.ledger.audit import verify
from streamdesk.order_executor.adapters.ledger.schema import (
    CORPORATE_ACTIONS,
    ORDERS,
    OUTBOX,
    TRADE_LOCKS,
)
from streamdesk.order_executor.adapters.ledger.statements import (
    LedgerQuestion,
    Row,
    Wanted,
    rows_of,
)
from streamdesk.order_executor.application import apply_actions
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.runtime import BadSettingError
from streamdesk.trading.identity import order_id_of_signal
from streamdesk.trading.orders import OrderState
from streamdesk.trading.portfolio import Holding
from tests.broker_conformance import Records
from tests.resting_broker import RestingBroker, plug

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
FileOf = Callable[..., Path]
SYMBOL = "AAPL.US"
# The entry is of Friday; the first bar of the ex-date is Monday's.
MONDAY = datetime(2026, 11, 23, 14, 31, tzinfo=UTC)
HEADER = "symbol,ex_date,kind,ratio,amount,currency,source"
SPLIT = "AAPL.US,2026-11-23,SPLIT,10:1,,,issuer"


@pytest.fixture
def file_of(tmp_path: Path) -> FileOf:
    def make(*rows: str) -> Path:
        file = tmp_path / "actions.csv"
        file.write_text("\n".join([HEADER, *rows, ""]))
        return file

    return make


@pytest.fixture
def entry(signal_of: SignalOf) -> SignalGenerated:
    return signal_of(price=100.0, stop_loss=95.0, take_profit=110.0)


@pytest.fixture
def monday(bar_of: BarOf) -> BarOf:
    """A bar of the ex-date."""

    def make(price: float, minute: int = 0, symbol: str = SYMBOL, **more: Any) -> BarClosed:
        bar = bar_of(symbol, price=price, **more)
        return bar.model_copy(update={"timestamp": MONDAY + timedelta(minutes=minute)})

    return make


async def held(executor: OrderExecutor) -> Holding:
    return (await executor.ledger.portfolio()).holdings[SYMBOL]


async def count(executor: OrderExecutor, column: Any, value: str) -> int:
    def work(connection: Connection) -> int:
        query = select(func.count()).select_from(column.table).where(column == value)
        return int(connection.execute(query).scalar_one())

    return await executor.ledger.database.read(work)


async def enter(executor: OrderExecutor, entry: SignalGenerated, bar_of: BarOf) -> Holding:
    await executor.on_bar(bar_of(minute=0))
    await executor.on_signal("signal-1", entry)
    return await held(executor)


async def test_a_split_over_a_weekend_scales_the_position_and_sells_nothing(
    executor_of: ExecutorOf,
    file_of: FileOf,
    entry: SignalGenerated,
    bar_of: BarOf,
    monday: BarOf,
) -> None:
    executor = await executor_of(corporate_actions_file=file_of(SPLIT))
    before = await enter(executor, entry, bar_of)
    equity = (await executor.ledger.portfolio()).equity
    await executor.on_bar(monday(10.0))
    after = await held(executor)
    assert after.quantity == 10 * before.quantity
    assert (after.cost, after.local_cost) == (before.cost, before.local_cost)
    assert (after.stop_loss, after.take_profit) == (Decimal("9.5"), Decimal(11))
    portfolio = await executor.ledger.portfolio()
    assert portfolio.realized_pnl == 0
    assert abs(portfolio.equity - equity) < 1000
    assert await count(executor, ORDERS.c.side, "SELL") == 0
    assert await count(executor, OUTBOX.c.type, "CorporateActionBooked") == 1
    assert await executor.verify() == []
    assert await executor.broker.positions() == {SYMBOL: after.quantity}
    # The scaled stop protects the scaled position.
    await executor.on_bar(monday(9.4, minute=1))
    assert (await executor.ledger.portfolio()).holdings == {}
    assert await count(executor, ORDERS.c.origin, "STOP_LOSS") == 1
    assert await executor.verify() == []


@pytest.mark.parametrize("ratio", ["1:7", "3:2", "1:3", "7:3"])
async def test_a_fraction_of_a_share_becomes_cash_and_the_books_agree(
    executor_of: ExecutorOf,
    file_of: FileOf,
    entry: SignalGenerated,
    bar_of: BarOf,
    monday: BarOf,
    ratio: str,
) -> None:
    executor = await executor_of(
        corporate_actions_file=file_of(f"AAPL.US,2026-11-23,SPLIT,{ratio},,,issuer")
    )
    before = await enter(executor, entry, bar_of)
    cash = (await executor.ledger.portfolio()).cash
    new, old = (int(part) for part in ratio.split(":"))
    await executor.on_bar(monday(100.0 * old / new))
    after = await held(executor)
    assert after.quantity == before.quantity * new // old
    portfolio = await executor.ledger.portfolio()
    assert await executor.broker.positions() == {SYMBOL: after.quantity}
    whole = before.quantity * new % old == 0
    assert (portfolio.cash == cash) is whole
    assert portfolio.cash - cash < Decimal(100) * old / new
    assert await executor.verify() == []


async def test_a_position_of_less_than_one_new_share_is_paid_out(
    executor_of: ExecutorOf, file_of: FileOf, entry: SignalGenerated, bar_of: BarOf, monday: BarOf
) -> None:
    file = file_of("AAPL.US,2026-11-23,SPLIT,1:9999,,,issuer")
    executor = await executor_of(corporate_actions_file=file)
    before = await enter(executor, entry, bar_of)
    cash = (await executor.ledger.portfolio()).cash
    await executor.on_bar(monday(999_900.0))
    portfolio = await executor.ledger.portfolio()
    assert portfolio.holdings == {}
    assert await executor.broker.positions() == {}
    assert portfolio.cash == cash + before.quantity * before.market_price
    assert await executor.verify() == []


@pytest.mark.parametrize("filled", [Decimal(0), Decimal("0.5")])
async def test_what_rests_of_an_entry_is_canceled_before_the_shares_are_split(
    executor_of: ExecutorOf,
    file_of: FileOf,
    entry: SignalGenerated,
    bar_of: BarOf,
    monday: BarOf,
    filled: Decimal,
) -> None:
    executor = await executor_of(corporate_actions_file=file_of(SPLIT))
    broker = plug(executor, RestingBroker())
    broker.portion = filled
    await executor.on_bar(bar_of(minute=0))
    await executor.on_signal("signal-1", entry)
    await executor.on_bar(monday(10.0))
    order = await executor.ledger.order(order_id_of_signal("signal-1"))
    assert order is not None
    assert (order.state, order.code) == (OrderState.CANCELED, "SPLIT")
    portfolio = await executor.ledger.portfolio()
    assert portfolio.live_orders == {}
    quantities = [holding.quantity for holding in portfolio.holdings.values()]
    assert quantities == ([10 * order.filled_quantity] if filled else [])
    assert await verify(executor.ledger, Records(broker.reports())) == []


async def test_until_an_order_of_old_shares_has_ended_no_bar_of_new_ones_reaches_the_position(
    executor_of: ExecutorOf, file_of: FileOf, entry: SignalGenerated, bar_of: BarOf, monday: BarOf
) -> None:
    executor = await executor_of(corporate_actions_file=file_of(SPLIT))
    broker = plug(executor, RestingBroker())
    broker.portion, broker.cancels_late = Decimal("0.5"), True
    await executor.on_bar(bar_of(minute=0))
    await executor.on_signal("signal-1", entry)
    before = await held(executor)
    await executor.on_bar(monday(10.0))
    assert await held(executor) == before
    broker.end_cancels()
    await executor.reconciliation.reconcile()
    await executor.on_bar(monday(10.0, minute=1))
    assert (await held(executor)).quantity == 10 * before.quantity
    assert await verify(executor.ledger, Records(broker.reports())) == []


async def test_executors_that_see_the_ex_date_together_book_the_action_once(
    executor_of: ExecutorOf, file_of: FileOf, entry: SignalGenerated, bar_of: BarOf, monday: BarOf
) -> None:
    file = file_of(SPLIT, "AAPL.US,2026-11-23,DIVIDEND,,0.05,USD,issuer")
    executors = [
        await executor_of(instance=f"executor-{number}", corporate_actions_file=file)
        for number in range(3)
    ]
    before = await enter(executors[0], entry, bar_of)
    cash = (await executors[0].ledger.portfolio()).cash
    await asyncio.gather(*(executor.on_bar(monday(10.0)) for executor in executors))
    after = await held(executors[0])
    assert after.quantity == 10 * before.quantity
    portfolio = await executors[0].ledger.portfolio()
    assert portfolio.cash == cash + after.quantity * Decimal("0.05")
    assert await count(executors[0], CORPORATE_ACTIONS.c.symbol, SYMBOL) == 2
    assert await executors[0].verify() == []


async def test_a_restart_with_the_same_file_books_nothing_again_and_reads_old_bars_harmlessly(
    executor_of: ExecutorOf, file_of: FileOf, entry: SignalGenerated, bar_of: BarOf, monday: BarOf
) -> None:
    file = file_of(SPLIT)
    first = await executor_of(corporate_actions_file=file)
    await enter(first, entry, bar_of)
    await first.on_bar(monday(10.0))
    after = await held(first)
    restarted = await executor_of(corporate_actions_file=file)
    await restarted.reconciliation.reconcile()
    # A bar of old shares is far above the target of new ones.
    await restarted.on_bar(bar_of(minute=1, price=100.0))
    await restarted.on_bar(monday(10.0))
    assert (await held(restarted)).quantity == after.quantity
    assert await count(restarted, ORDERS.c.side, "SELL") == 0
    assert await count(restarted, CORPORATE_ACTIONS.c.symbol, SYMBOL) == 1
    assert await restarted.verify() == []


async def test_an_executor_behind_the_others_sells_nothing_on_bars_of_old_shares(
    executor_of: ExecutorOf, file_of: FileOf, entry: SignalGenerated, bar_of: BarOf, monday: BarOf
) -> None:
    file = file_of(SPLIT)
    ahead = await executor_of(corporate_actions_file=file, price_jump_percent=0)
    behind = await executor_of(instance="executor-2", price_jump_percent=0)
    await enter(ahead, entry, bar_of)
    await behind.reconciliation.reconcile()
    await behind.on_bar(bar_of(minute=0))
    await ahead.on_bar(monday(10.0))
    await behind.on_bar(bar_of(minute=1, price=100.0))
    assert await count(ahead, ORDERS.c.side, "SELL") == 0


async def test_a_split_that_is_added_to_the_file_ends_the_halt_of_its_jump(
    executor_of: ExecutorOf,
    file_of: FileOf,
    entry: SignalGenerated,
    bar_of: BarOf,
    monday: BarOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(apply_actions, "LOOK_SECONDS", 0)
    file = file_of()
    executor = await executor_of(corporate_actions_file=file)
    stranger = await executor_of(instance="executor-2")
    before = await enter(executor, entry, bar_of)
    await stranger.reconciliation.reconcile()
    await stranger.on_bar(bar_of(minute=0))
    for each in (executor, stranger):
        await each.on_bar(monday(10.0))
    assert await held(executor) == before
    file.write_text(f"{HEADER}\n{SPLIT}\n")
    os.utime(file, (1, 1))
    await executor.on_bar(monday(10.1, minute=1))
    stranger.guard.forget()
    await stranger.on_bar(monday(10.1, minute=1))
    assert (await held(executor)).quantity == 10 * before.quantity
    assert await count(executor, TRADE_LOCKS.c.ended_by, "adjusted") == 1
    assert await count(executor, TRADE_LOCKS.c.code, "PRICE_JUMP") == 1
    assert await count(executor, ORDERS.c.side, "SELL") == 0
    for each in (executor, stranger):
        state = each.view.of(SYMBOL)
        assert state is not None
        assert state.mark == Decimal("10.1")
    assert await executor.verify() == []


async def test_a_dividend_is_paid_for_what_was_held_at_the_close_before_and_lowers_the_stop(
    executor_of: ExecutorOf, file_of: FileOf, entry: SignalGenerated, bar_of: BarOf, monday: BarOf
) -> None:
    file = file_of("AAPL.US,2026-11-23,DIVIDEND,,4.5,USD,issuer")
    executor = await executor_of(corporate_actions_file=file)
    before = await enter(executor, entry, bar_of)
    cash = (await executor.ledger.portfolio()).cash
    # Without the dividend the market opens below the stop of before.
    await executor.on_bar(monday(94.5))
    after = await held(executor)
    assert (after.stop_loss, after.take_profit) == (Decimal("90.5"), Decimal(110))
    portfolio = await executor.ledger.portfolio()
    assert portfolio.cash - cash == portfolio.realized_pnl == before.quantity * Decimal("4.5")
    assert await executor.verify() == []


async def test_a_dividend_of_shares_that_are_not_held_changes_nothing(
    executor_of: ExecutorOf,
    file_of: FileOf,
    signal_of: SignalOf,
    monday: BarOf,
) -> None:
    file = file_of("AAPL.US,2026-11-23,DIVIDEND,,4.5,USD,issuer", SPLIT)
    executor = await executor_of(corporate_actions_file=file)
    await executor.on_bar(monday(10.0))
    at = {"timestamp": MONDAY, "queued_at": MONDAY}
    await executor.on_signal("signal-1", signal_of(price=10.0, **at))
    bought = await held(executor)
    await executor.on_bar(monday(10.0, minute=1))
    assert (await held(executor)).quantity == bought.quantity
    portfolio = await executor.ledger.portfolio()
    assert portfolio.realized_pnl == 0
    assert await count(executor, OUTBOX.c.type, "CorporateActionBooked") == 0
    assert await executor.verify() == []


async def test_a_dividend_in_another_currency_stays_in_it(
    executor_of: ExecutorOf, file_of: FileOf, signal_of: SignalOf, bar_of: BarOf, monday: BarOf
) -> None:
    file = file_of("700.HK,2026-11-23,DIVIDEND,,3.4,HKD,issuer")
    more = {"corporate_actions_file": file, "lot_sizes": {"700.HK": 100}, "fx_cost_bps": 30}
    executor = await executor_of(**more)
    await executor.on_bar(bar_of("700.HK", minute=0, price=600.0))
    await executor.on_signal("signal-1", signal_of("700.HK", price=600.0, stop_loss=580.0))
    before = (await executor.ledger.portfolio()).holdings["700.HK"]
    await executor.on_bar(monday(597.0, symbol="700.HK"))
    portfolio = await executor.ledger.portfolio()
    paid = before.quantity * Decimal("3.4") * Decimal("0.128")
    assert abs(portfolio.realized_pnl - paid) <= Decimal("0.01")
    assert portfolio.balances["HKD"] == before.quantity * Decimal("3.4")

    def movements(connection: Connection) -> list[Row]:
        rates = executor.ledger.rates.at(None)
        return list(rows_of(connection, LedgerQuestion.CASH, Wanted(), rates))

    last = (await executor.ledger.database.read(movements))[-1]
    assert (last["movement"], last["balance"]) == ("DIVIDEND", portfolio.balances["HKD"])
    assert await executor.verify() == []


async def test_an_audit_finds_a_split_whose_figures_were_changed(
    executor_of: ExecutorOf, file_of: FileOf, entry: SignalGenerated, bar_of: BarOf, monday: BarOf
) -> None:
    executor = await executor_of(corporate_actions_file=file_of(SPLIT))
    await enter(executor, entry, bar_of)
    await executor.on_bar(monday(10.0))

    def forge(connection: Connection) -> None:
        connection.execute(CORPORATE_ACTIONS.update().values(ratio_new=20))

    await executor.ledger.database.write(forge)
    assert [found.what for found in await executor.verify()] == [f"{SYMBOL} quantity"]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("AAPL.US,2026-11-23,SPLIT,0:1,,,issuer", "ratio is '0:1'"),
        ("AAPL.US,2026-11-23,SPLIT,1:1,,,issuer", "ratio is '1:1'"),
        ("AAPL.US,2026-11-23,DIVIDEND,,nan,USD,issuer", "amount is 'nan'"),
        ("AAPL.US,2026-11-23,DIVIDEND,,1,CHF,issuer", "currency is 'CHF'"),
        ("AAPL.US,23.11.2026,SPLIT,10:1,,,issuer", "ex_date is '23.11.2026'"),
        ("BTCUSDT,2026-11-23,SPLIT,10:1,,,issuer", "symbol is 'BTCUSDT'"),
        ("AAPL.US,2026-11-23,SPLIT,10:1,,,", "source is ''"),
    ],
)
async def test_a_row_that_cannot_be_ends_the_start_with_its_line_and_value(
    executor_of: ExecutorOf, file_of: FileOf, row: str, complaint: str
) -> None:
    with pytest.raises(BadSettingError, match=r"actions\.csv line 3") as refused:
        await executor_of(corporate_actions_file=file_of(SPLIT.replace("AAPL", "MSFT"), row))
    assert complaint in str(refused.value)
