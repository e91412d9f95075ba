"""Orders, bars and what an exchange makes of them, for the tests of the exchange."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from streamdesk.contracts.events import BarClosed, Side
from streamdesk.trading.exchange import (
    Exchange,
    ExchangeEvent,
    ExchangeOrder,
    ExchangeRules,
    Execution,
    OrderType,
    OrderUpdate,
    bracket,
    no_fees,
)
from streamdesk.trading.markets import MarketCode, TradableInstrument
from streamdesk.trading.orders import OrderState

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
AAPL = TradableInstrument("AAPL.US", MarketCode.US, 1)
TENCENT = TradableInstrument("700.HK", MarketCode.HK, 100)
FREE = ExchangeRules(slippage_bps=Decimal(0), fees=no_fees)


def bar(minute: int, prices: str, symbol: str = "AAPL.US", **more: Any) -> BarClosed:
    """A bar that ends `minute` minutes from now; prices: open, high, low, close."""
    opening, high, low, close = map(float, prices.split())
    fields = {
        "symbol": symbol,
        "timestamp": NOW + timedelta(minutes=minute),
        "interval_seconds": 60,
        "open": opening,
        "high": high,
        "low": low,
        "close": close,
        "volume": 1_000_000,
    }
    return BarClosed.model_validate(fields | more)


def order(side: str = "BUY", price: str | None = None, **more: Any) -> ExchangeOrder:
    """Ten shares decided now; at a limit when a price is given."""
    usual = ExchangeOrder(
        order_id="o-1",
        instrument=AAPL,
        side=Side(side),
        quantity=10,
        type=OrderType.MARKET if price is None else OrderType.LIMIT,
        as_of=NOW,
        limit_price=None if price is None else Decimal(price),
    )
    return replace(usual, **more)


def stop(side: str, price: str, **more: Any) -> ExchangeOrder:
    return order(side, type=OrderType.STOP, stop_price=Decimal(price), **more)


def fills(events: list[ExchangeEvent]) -> list[tuple[str, int, str]]:
    return [
        (e.order_id, e.quantity, f"{e.price.normalize():f}")
        for e in events
        if isinstance(e, Execution)
    ]


def ends(events: list[Any]) -> dict[str, str | None]:
    done = {OrderState.CANCELED, OrderState.REJECTED}
    return {e.order_id: e.code for e in events if isinstance(e, OrderUpdate) and e.state in done}


def protected(rules: ExchangeRules = FREE, **levels: str) -> Exchange:
    """Ten shares bought at 100 with exits attached."""
    exchange = opened(rules, **levels)
    assert fills(exchange.on_bar(bar(1, "100 100 100 100"))) == [("o-1", 10, "100")]
    return exchange


def opened(rules: ExchangeRules = FREE, price: str | None = None, **levels: str) -> Exchange:
    exchange = Exchange(rules)
    answers = exchange.submit(
        *bracket(order(price=price), **{name: Decimal(level) for name, level in levels.items()})
    )
    assert {answer.state for answer in answers} == {OrderState.ACCEPTED}
    return exchange
