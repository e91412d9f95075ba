"""The ledger without what differs from run to run: random ids and the wall clock.

Two runs of one process over the same signals and bars give the same dump.
"""

import hashlib
import json
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from streamdesk.order_executor.adapters.ledger.ledger import Ledger
from streamdesk.order_executor.adapters.ledger.schema import (
    ACCOUNT,
    BALANCES,
    CONVERSIONS,
    CORPORATE_ACTIONS,
    FILLS,
    LATE_FEES,
    ORDERS,
    POSITIONS,
    SIGNALS,
)
from streamdesk.trading.orders import Origin

_ACCOUNT = "id", "currency", "initial_cash", "realized_pnl", "fx_gain"
_ORDER = (
    "origin", "symbol", "market", "currency", "side", "quantity", "limit_price", "reference_price",
    "stop_loss", "take_profit", "score", "as_of", "reserved_cash", "state", "filled_quantity",
    "code", "reason",
)  # fmt: skip
_FILL = (
    "quantity", "price", "fee", "currency", "rate", "cash_amount", "realized_pnl", "fx_gain",
    "conversion_cost",
)  # fmt: skip
_BALANCE = "currency", "opening", "amount"
_CONVERSION = (
    "from_currency", "from_amount", "to_currency", "to_amount", "rate", "rate_at", "cost",
)  # fmt: skip
_LATE_FEE = "fee", "currency", "rate", "amount", "realized_pnl"
_POSITION = (
    "symbol", "market", "quantity", "cost", "local_cost", "market_price", "marked_at", "opened_at",
    "stop_loss", "take_profit",
)  # fmt: skip
_ACTION = (
    "symbol", "ex_date", "kind", "ratio_new", "ratio_old", "amount", "currency", "effective_at",
    "shares_before", "shares_after", "cash_amount", "realized_pnl", "fx_gain", "stop_loss",
    "take_profit",
)  # fmt: skip
# Not the reason: it may name an order's id.
_REFUSAL = "symbol", "side", "score", "as_of", "refusal_code", "refusal_value", "refusal_limit"

_LATE_FEES = (
    select(LATE_FEES, FILLS.c.client_order_id).join_from(LATE_FEES, FILLS).order_by(FILLS.c.booking)
)
Dump = dict[str, list[dict[str, str | None]]]


async def dump(ledger: Ledger) -> Dump:
    """Every table that matters, in the order in which things happened."""

    def work(connection: Connection) -> Dump:
        orders = list(connection.execute(select(ORDERS)).mappings())
        names = {row["client_order_id"]: _name(row) for row in orders}
        fills = connection.execute(select(FILLS).order_by(FILLS.c.booking)).mappings()
        refusals = select(SIGNALS).where(SIGNALS.c.refusal_code.is_not(None))
        positions = connection.execute(select(POSITIONS)).mappings()
        balances = connection.execute(select(BALANCES)).mappings()
        fees = connection.execute(_LATE_FEES).mappings()
        conversions = connection.execute(select(CONVERSIONS).order_by(CONVERSIONS.c.id)).mappings()
        actions = connection.execute(select(CORPORATE_ACTIONS)).mappings().all()
        # A ledger without any gives the digest that it gave before there were any.
        more = {"actions": _sorted(_pick(row, _ACTION) for row in actions)} if actions else {}
        return {
            "account": [
                _pick(row, _ACCOUNT) for row in connection.execute(select(ACCOUNT)).mappings()
            ],
            "orders": _sorted(_pick(row, _ORDER) for row in orders),
            "fills": [
                {"order": names[row["client_order_id"]], **_pick(row, _FILL)} for row in fills
            ],
            "balances": _sorted(_pick(row, _BALANCE) for row in balances),
            "conversions": [
                {"order": names[row["client_order_id"]], **_pick(row, _CONVERSION)}
                for row in conversions
            ],
            "late_fees": [
                {"order": names[row["client_order_id"]], **_pick(row, _LATE_FEE)} for row in fees
            ],
            "positions": _sorted(_pick(row, _POSITION) for row in positions),
            "refusals": _sorted(
                _pick(row, _REFUSAL) for row in connection.execute(refusals).mappings()
            ),
            **more,
        }

    return await ledger.database.read(work)


async def digest(ledger: Ledger) -> str:
    """The dump as one number (SHA-256), equal when the ledgers are."""
    text = json.dumps(await dump(ledger), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _name(row: RowMapping) -> str:
    # A fingerprint has no random part; an exit's has, so it is named by what it was.
    if row["origin"] == Origin.SIGNAL:
        return str(row["fingerprint"])
    return f"{row['origin']} {row['symbol']} {row['as_of'].isoformat()}"


def _pick(row: RowMapping, names: tuple[str, ...]) -> dict[str, str | None]:
    return {name: None if row[name] is None else _text(row[name]) for name in names}


def _text(value: Any) -> str:  # noqa: ANN401 - whatever a column holds
    return str(value.isoformat() if hasattr(value, "isoformat") else value)


def _sorted(items: Any) -> list[dict[str, str | None]]:  # noqa: ANN401 - any iterable of rows
    return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
