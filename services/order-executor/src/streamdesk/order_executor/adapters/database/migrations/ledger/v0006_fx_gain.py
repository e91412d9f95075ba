"""What exchange rates make of a trade, apart from what its price makes of it.

A position's cost is kept in its market's currency as well, and a sale's gain is what it was in that
currency, at the rate of the sale. The rest of what was booked is the currency's.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

FILLS = """
SELECT f.trade_id, f.quantity, f.price, f.fee, f.rate, f.cash_amount, f.realized_pnl,
       o.symbol, o.side
FROM fills f JOIN orders o ON o.client_order_id = f.client_order_id
ORDER BY f.booking
"""


def upgrade() -> None:
    """Add the columns, and work them out from the fills and the rates they were booked at."""
    for table, name in (
        ("account", "fx_gain"),
        ("fills", "fx_gain"),
        ("fills", "conversion_cost"),
        ("positions", "local_cost"),
    ):
        column = sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
        op.add_column(table, column)
    connection = op.get_bind()
    costs: dict[str, tuple[int, int]] = {}
    fills = connection.execute(sa.text(FILLS)).mappings().all()
    for values in _splits(fills, costs):
        connection.execute(
            sa.text("UPDATE fills SET realized_pnl = :gain, fx_gain = :fx WHERE trade_id = :id"),
            values,
        )
        connection.execute(
            sa.text(
                "UPDATE account SET realized_pnl = realized_pnl - :fx, fx_gain = fx_gain + :fx"
            ),
            {"fx": values["fx"]},
        )
    for symbol, (_, cost) in costs.items():
        connection.execute(
            sa.text("UPDATE positions SET local_cost = :cost WHERE symbol = :symbol"),
            {"cost": cost, "symbol": symbol},
        )


def _splits(fills: Any, costs: dict[str, tuple[int, int]]) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - rows
    """The two gains of every sale, in cents; `costs` becomes what is held, and its cost."""
    for fill in fills:
        quantity, cost = costs.get(fill["symbol"], (0, 0))
        traded = fill["quantity"]
        # Prices and fees are kept in millionths.
        value = _cents(Decimal(traded * fill["price"]) / 10_000)
        fee = _cents(Decimal(fill["fee"]) / 10_000)
        if fill["side"] == "BUY":
            costs[fill["symbol"]] = quantity + traded, cost + value + fee
            continue
        left = quantity - traded
        removed = cost if left <= 0 else _cents(Decimal(cost) * traded / quantity)
        costs[fill["symbol"]] = left, cost - removed
        gain = _cents((value - fee - removed) * Decimal(fill["rate"]) / 100_000_000)
        yield {"id": fill["trade_id"], "gain": gain, "fx": fill["realized_pnl"] - gain}


def _cents(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1)))
