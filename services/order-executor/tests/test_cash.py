"""Cash by currency in the ledger and at the broker, with the conversions that pay for trades."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, select

from streamdesk.contracts.events import BarClosed, PortfolioValued, SignalGenerated
from streamdesk.order_executor.adapters.ledger.audit import BookAudit, Discrepancy
from streamdesk.order_executor.adapters.ledger.ledger import wall_clock
from streamdesk.order_executor.adapters.ledger.schema import CONVERSIONS, OUTBOX
from streamdesk.order_executor.adapters.ledger.statements import (
    LedgerQuestion,
    Row,
    Wanted,
    rows_of,
)
from streamdesk.order_executor.adapters.paper_broker import cash
from streamdesk.order_executor.application.check_books import BookCheck
from streamdesk.order_executor.application.compare_balances import (
    AuditWithBalances,
    BalanceComparison,
)
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.runtime import metrics
from streamdesk.trading.decisions import request_from
from tests.market import second_after

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
FREE: dict[str, Any] = {
    "hk_commission_min": 0, "hk_commission_rate": 0, "paper_slippage_bps": 0,
}  # fmt: skip


async def assert_agree(executor: OrderExecutor) -> dict[str, Decimal]:
    balances = await executor.ledger.balances()
    assert {name: amount for name, amount in balances.items() if amount} == {
        name: amount for name, amount in (await executor.broker.balances()).items() if amount
    }
    assert await executor.verify() == []
    return balances


async def conversions(executor: OrderExecutor) -> int:
    return len(await executor.ledger.conversions_after())


async def test_a_buy_converts_what_its_currency_lacks_and_a_sale_stays_in_its_currency(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of(fx_cost_bps=10)
    await executor.on_signal("bought", signal_of("700.HK", price=600.0))
    [position] = (await executor.ledger.portfolio()).holdings.values()
    balances = await assert_agree(executor)
    made = [item.conversion for _, item in await executor.ledger.conversions_after()]
    assert balances["HKD"] == 0
    assert sum(item.to_amount for item in made) == position.local_cost
    assert balances["USD"] == 1_000_000 - sum(item.from_amount for item in made)
    for item in made:
        assert abs(item.cost - (item.from_amount - item.cost) / 1_000) < Decimal("0.01")
    before = len(made)
    await executor.on_signal("sold", signal_of("700.HK", "SELL", minute=5, price=600.0))
    balances = await assert_agree(executor)
    assert balances["HKD"] > 0
    assert await conversions(executor) == before
    # It pays for the next buy there; only what is missing is converted.
    await executor.on_signal("again", signal_of("9992.HK", minute=9, price=200.0, strength=0.0))
    assert 0 < (await assert_agree(executor))["HKD"] < balances["HKD"]
    assert await conversions(executor) == before


async def test_a_changed_rate_is_a_gain_of_the_currency_on_positions_and_on_cash_and_counts_once(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of(usd_per_hkd="0.1274", **FREE)
    await executor.on_signal("bought", signal_of("700.HK", price=600.0))
    [position] = (await executor.ledger.portfolio()).holdings.values()
    value = position.local_cost
    for rate in ("0.1282", "0.1290"):  # twice while it is open
        executor = await executor_of(usd_per_hkd=rate, **FREE)
        portfolio = await executor.ledger.portfolio()
        change = value * (Decimal(rate) - Decimal("0.1274"))
        assert abs(portfolio.fx_gain - change) < value / 1_000
        assert portfolio.realized_pnl == 0
    await executor.on_signal("sold", signal_of("700.HK", "SELL", minute=5, price=600.0))
    sold = await executor.ledger.portfolio()
    assert abs(sold.fx_gain - portfolio.fx_gain) < value / 1_000
    assert abs(sold.realized_pnl) < value / 100  # fees
    back = await (await executor_of(usd_per_hkd="0.1274", **FREE)).ledger.portfolio()
    assert abs(back.fx_gain) < value / 1_000
    assert back.realized_pnl == sold.realized_pnl
    assert await executor.verify() == []


async def test_an_account_may_begin_with_two_currencies(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of(initial_cash=100_000, initial_cash_hkd=1_000_000)
    portfolio = await executor.ledger.portfolio()
    assert portfolio.balances == {"USD": 100_000, "HKD": 1_000_000}
    assert portfolio.equity == portfolio.initial_cash == 228_000
    assert portfolio.fx_gain == 0
    await executor.on_signal("bought", signal_of("700.HK", price=600.0, strength=0.0))
    assert (await assert_agree(executor))["USD"] == 100_000
    # A buy in USD beyond what there is in USD is paid out of HKD.
    more = {"size_max_percent": 100, "max_symbol_percent": 0, "max_order_notional": 0}
    executor = await executor_of(max_market_percent=0, **more)
    await executor.on_signal("us", signal_of(minute=1, strength=0.6))
    [(_, item)] = await executor.ledger.conversions_after()
    assert (item.conversion.from_currency, item.conversion.to_currency) == ("HKD", "USD")
    assert (await assert_agree(executor))["USD"] == 0


async def test_the_valuation_that_is_published_has_the_balance_of_each_currency(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of(initial_cash_hkd=1_000)
    await executor.on_signal("us", signal_of())
    query = select(OUTBOX.c.body).where(OUTBOX.c.type == "PortfolioValued")
    body = await executor.ledger.database.read(lambda it: it.execute(query).scalars().first())
    event = PortfolioValued.model_validate_json(body or "")
    assert {item.currency: item.amount for item in event.balances} == (
        await executor.ledger.balances()
    )
    assert event.cash == sum(item.amount * item.rate for item in event.balances)


async def test_a_balance_that_the_broker_has_otherwise_is_found_and_stops_nothing(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("bought", signal_of("700.HK", price=600.0))
    balances = dict(await executor.broker.balances())
    audit = AuditWithBalances(
        BookAudit(executor.ledger, executor.broker),
        BalanceComparison(executor.ledger, executor.execution),
    )
    check = BookCheck(audit, executor.gate, second_look_seconds=0)
    assert await check.check() == ([], [])
    stranger = balances | {"EUR": Decimal(5)}
    await executor.broker._database.write(
        lambda connection: cash.keep(connection, stranger, cash.last_trade(connection))
    )
    assert await check.check() == (
        [],
        [Discrepancy("broker's EUR balance", Decimal(5), Decimal(0))],
    )
    assert metrics.BROKER_DISCREPANCIES._value.get() == 1
    assert executor.gate.is_open


async def test_trades_that_are_not_booked_yet_are_no_difference(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    decision = await executor.ledger.decide(
        request_from("bought", signal_of("700.HK", price=600.0), wall_clock())
    )
    assert decision.order is not None
    await executor.broker.submit(decision.order.intent)
    await executor.broker.on_bar(second_after("700.HK", decision.order.intent.as_of, 600.0))
    assert await executor.balances.differences() == []
    await executor.reconciliation.reconcile()
    assert await conversions(executor) > 0
    await assert_agree(executor)


async def test_a_report_that_comes_again_books_no_conversion_again(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of()
    await executor.on_signal("bought", signal_of("700.HK", price=600.0))
    booked = await conversions(executor)
    for report in await executor.broker.all_reports():
        again = await executor.broker.query(report.client_order_id)
        assert again is not None
        await executor.ledger.apply(again)
    assert await conversions(executor) == booked > 0
    query = select(CONVERSIONS.c.client_order_id).distinct()
    causes = await executor.ledger.database.read(lambda it: list(it.execute(query).scalars()))
    assert len(causes) == 1
    await assert_agree(executor)


async def test_the_movements_of_cash_end_with_the_balances_of_each_currency(
    executor_of: ExecutorOf, signal_of: SignalOf
) -> None:
    executor = await executor_of(initial_cash_hkd=1_000)
    for minute, (symbol, side) in enumerate(
        [("700.HK", "BUY"), ("AAPL.US", "BUY"), ("700.HK", "SELL"), ("9992.HK", "BUY")]
    ):
        await executor.on_signal(f"s-{minute}", signal_of(symbol, side, minute))

    def rows(connection: Connection) -> list[Row]:
        rates = executor.ledger.rates.at(None)
        return list(rows_of(connection, LedgerQuestion.CASH, Wanted(), rates))

    found = await executor.ledger.database.read(rows)
    assert {row["currency"]: row["balance"] for row in found} == await executor.ledger.balances()
    kinds = [row["movement"] for row in found]
    assert kinds[:5] == ["OPENING", "OPENING", "CONVERSION", "CONVERSION", "BUY"]
    assert kinds.count("CONVERSION") == 2 * await conversions(executor)
    assert {row["symbol"] for row in found} == {None, "700.HK", "AAPL.US", "9992.HK"}
