"""Orders, fills and the portfolio they add up to."""

from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from streamdesk.contracts.base import Event
from streamdesk.contracts.events.signals import Side
from streamdesk.contracts.fields import Money, Quantity, Symbol, Timestamp

_ORDER = {
    "client_order_id": "sd-0f4c1b7a2e5d4c3b9a80",
    "signal_id": "019aa3c1-7b5e-7c1f-9d0a-3f2b1c0d9e8f",
    "symbol": "AAPL.US",
    "side": "BUY",
    "timestamp": "2026-11-20T15:31:00.300Z",
}


class OrderEvent(Event):
    """What all events of one order share."""

    client_order_id: str = Field(
        description="The desk's id, derived from the signal; permanently unique."
    )
    signal_id: str = Field(description="Event id of the signal behind the order.")
    symbol: Symbol
    side: Side
    timestamp: Timestamp


class OrderSubmitted(OrderEvent):
    """The intent is in the ledger, its cash reserved, and the broker has been asked."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**_ORDER, "quantity": 120, "limit_price": "271.90"}]}
    )

    quantity: Quantity
    limit_price: Money = Field(description="Worst price allowed, on the market's tick.")
    score: float = Field(default=0, description="Score of the signal behind the order, 0 to 100.")


class OrderAccepted(OrderEvent):
    """The broker has the order."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**_ORDER, "broker_order_id": "paper-42"}]}
    )

    broker_order_id: str = Field(description="The broker's id of the order.")


class OrderFilled(OrderEvent):
    """The broker executed all or a part of an order: one trade."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_ORDER,
                    "trade_id": "paper-42-1",
                    "quantity": 60,
                    "price": "271.80",
                    "fee": "0.99",
                    "currency": "USD",
                    "cumulative_quantity": 60,
                    "order_quantity": 120,
                }
            ]
        }
    )

    trade_id: str = Field(description="The broker's id of this trade; the ledger has it once.")
    quantity: Quantity = Field(description="Shares of this trade.")
    price: Money = Field(gt=0, description="Price of one share, in `currency`.")
    fee: Money = Field(ge=0, description="Commission and levies of this trade, in `currency`.")
    fee_is_due: bool = Field(
        default=False,
        description="The broker names the fee later; it is 0 here, and lessens the realised gain "
        "when it comes.",
    )
    currency: str = Field(pattern="^[A-Z]{3}$", description="ISO 4217 code of price and fee.")
    cumulative_quantity: Quantity = Field(description="Shares filled so far, this trade included.")
    order_quantity: Quantity = Field(description="Shares ordered; equal when the order is done.")
    realized_pnl: Money = Field(
        default=Decimal(0),
        description="Gain this trade realised in its own currency, at the rate of the trade; in "
        "the account's currency.",
    )
    fx_gain: Money = Field(
        default=Decimal(0),
        description="What exchange rates made of the shares sold while they were held, in the "
        "account's currency.",
    )


class OrderRejected(OrderEvent):
    """No order was made: a risk check or the broker refused it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_ORDER,
                    "code": "POSITION_LIMIT_EXCEEDED",
                    "reason": "5 of 5 US positions are open",
                }
            ]
        }
    )

    code: str = Field(pattern="^[A-Z][A-Z_]+$", description="Stable code of the refusal.")
    reason: str = Field(description="What was checked, the value and the limit.")


class OrderCanceled(OrderEvent):
    """The rest of an order will not be executed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{**_ORDER, "remaining_quantity": 60, "reason": "end of the session"}]
        }
    )

    remaining_quantity: Quantity = Field(description="Shares that will not be executed.")
    reason: str = Field(description="Why, for a reader.")


class CorporateActionBooked(Event):
    """A split or a dividend of shares that were held is in the books, once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "symbol": "AAPL.US",
                    "kind": "SPLIT",
                    "ex_date": "2026-11-23",
                    "terms": "split 10:1",
                    "source": "issuer's announcement of 2026-10-01",
                    "shares_before": 870,
                    "shares_after": 8700,
                    "cash_amount": "0.00",
                    "realized_pnl": "0.00",
                    "fx_gain": "0.00",
                    "stop_loss": "9.50",
                    "take_profit": "11.00",
                    "timestamp": "2026-11-23T14:31:00.200Z",
                }
            ]
        }
    )

    symbol: Symbol
    kind: Literal["SPLIT", "DIVIDEND"] = Field(description="What the company did.")
    ex_date: date = Field(description="First day without the dividend, or in new shares.")
    terms: str = Field(description="Ratio or amount, for a reader.")
    source: str = Field(description="Who says so.")
    shares_before: int = Field(description="Shares that it concerned.")
    shares_after: int = Field(description="What they are afterwards.")
    cash_amount: Money = Field(
        description="Dividend, or payment for a fraction of a share, account's currency."
    )
    realized_pnl: Money = Field(description="Gain of it, account's currency.")
    fx_gain: Money = Field(description="What rates and conversions made of it besides.")
    stop_loss: Money | None = Field(default=None, description="Of the position, afterwards.")
    take_profit: Money | None = Field(default=None, description="Of the position, afterwards.")
    timestamp: Timestamp


class Position(BaseModel):
    """Shares held of one instrument."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    symbol: Symbol
    quantity: int = Field(description="Whole shares.")
    average_price: Money = Field(description="Average cost of a share, in the market's currency.")
    market_price: Money = Field(description="Last price seen, in the market's currency.")
    market_value: Money = Field(description="Quantity times market price, account's currency.")
    unrealized_pnl: Money = Field(
        description="Gain in the market's currency if sold at market price, at the present rate; "
        "account's currency."
    )
    stop_loss: Money | None = Field(
        default=None, description="Leave at this price, in the market's currency."
    )
    take_profit: Money | None = Field(
        default=None, description="Take the gain at this price, in the market's currency."
    )


class Balance(BaseModel):
    """Cash in one currency."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    currency: str = Field(pattern="^[A-Z]{3}$", description="ISO 4217 code.")
    amount: Money = Field(description="In that currency; negative where it is owed.")
    rate: Money = Field(description="What one unit is worth in the account's currency.")
    rate_is_known: bool = Field(
        default=True,
        description="False: the rate is too old, and the equity an estimate by the last one.",
    )


class PortfolioValued(Event):
    """Cash, positions and their sum after a fill or a change of prices."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "account": "paper",
                    "currency": "USD",
                    "cash": "967382.00",
                    "balances": [
                        {"currency": "USD", "amount": "966102.00", "rate": "1"},
                        {"currency": "HKD", "amount": "10000.00", "rate": "0.128"},
                    ],
                    "positions_value": "32618.00",
                    "equity": "1000000.00",
                    "realized_pnl": "0.00",
                    "positions": [],
                    "timestamp": "2026-11-20T15:31:01Z",
                }
            ]
        }
    )

    account: str = Field(description="Name of the account.")
    currency: str = Field(pattern="^[A-Z]{3}$", description="ISO 4217 code of all sums here.")
    cash: Money = Field(
        description="Worth of all balances, what open orders have reserved included."
    )
    balances: tuple[Balance, ...] = Field(default=(), description="Cash by currency.")
    positions_value: Money = Field(description="Value of all positions at market prices.")
    equity: Money = Field(description="Cash plus the value of all positions.")
    realized_pnl: Money = Field(
        description="Gains and losses of what was sold, fees included, and dividends."
    )
    fx_gain: Money = Field(
        default=Decimal(0),
        description="Gains and losses by exchange rates, on cash and positions, and by "
        "conversions. Equity is initial cash, realised, unrealised and this gain.",
    )
    positions: tuple[Position, ...] = Field(description="All that is held, by symbol.")
    trading_state: str | None = Field(
        default=None,
        pattern="^(ACTIVE|REDUCING|HALTED)$",
        description="Which orders the kill switch lets through; null from an older version.",
    )
    timestamp: Timestamp
