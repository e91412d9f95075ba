"""Cash by currency.

Until now every trade in another currency was converted whole when it was booked, so all cash is in
the account's currency. Each of those conversions becomes a row.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

# SQLite counts rows only when the key is exactly INTEGER.
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
FOREIGN = """
SELECT f.*, o.side, a.currency AS account_currency
FROM fills f JOIN orders o ON o.client_order_id = f.client_order_id CROSS JOIN account a
WHERE f.currency <> a.currency ORDER BY f.booking
"""
INSERT = """
INSERT INTO conversions (client_order_id, trade_id, from_currency, from_amount, to_currency,
                         to_amount, rate, cost, booked_at)
VALUES (:client_order_id, :trade_id, :from_currency, :from_amount, :to_currency,
        :to_amount, :rate, :cost, :booked_at)
"""
HUNDRED_MILLION = 10**8


def upgrade() -> None:
    """Make the tables, fill them from the fills, and drop the one figure of cash."""
    _make_tables()
    connection = op.get_bind()
    connection.execute(
        sa.text(
            "INSERT INTO balances (currency, opening, amount) "
            "SELECT currency, initial_cash, cash FROM account"
        )
    )
    fills = connection.execute(sa.text(FOREIGN)).mappings().all()
    for currency in sorted({fill["currency"] for fill in fills}):
        connection.execute(
            sa.text("INSERT INTO balances (currency, opening, amount) VALUES (:it, 0, 0)"),
            {"it": currency},
        )
    for values in _conversions(fills):
        connection.execute(sa.text(INSERT), values)
    op.drop_column("account", "cash")


def _make_tables() -> None:
    op.create_table(
        "balances",
        sa.Column("currency", sa.String(3), primary_key=True),
        sa.Column("opening", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
    )
    to_order = sa.ForeignKey("orders.client_order_id")
    op.create_table(
        "conversions",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("client_order_id", sa.String(64), to_order, nullable=False),
        sa.Column("trade_id", sa.String(64), nullable=False),
        sa.Column("from_currency", sa.String(3), nullable=False),
        sa.Column("from_amount", sa.BigInteger(), nullable=False),
        sa.Column("to_currency", sa.String(3), nullable=False),
        sa.Column("to_amount", sa.BigInteger(), nullable=False),
        sa.Column("rate", sa.BigInteger(), nullable=False),
        sa.Column("rate_at", sa.DateTime(timezone=True)),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sqlite_autoincrement=True,
    )


def _conversions(fills: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - rows
    """The conversion in each fill: what a buy took, or what a sale brought."""
    for fill in fills:
        # Prices and fees are kept in millionths, amounts in cents.
        value = _whole(Decimal(fill["quantity"] * fill["price"]) / 10_000)
        fee = _whole(Decimal(fill["fee"]) / 10_000)
        cause = {name: fill[name] for name in ("client_order_id", "trade_id", "booked_at")}
        own, other, rate = fill["account_currency"], fill["currency"], fill["rate"]
        if fill["side"] == "BUY":
            yield cause | {
                "from_currency": own,
                "from_amount": -fill["cash_amount"],
                "to_currency": other,
                "to_amount": value + fee,
                "rate": rate,
                "cost": fill["conversion_cost"],
            }
            continue
        inverse = _whole(Decimal(HUNDRED_MILLION) ** 2 / rate)
        yield cause | {
            "from_currency": other,
            "from_amount": value - fee,
            "to_currency": own,
            "to_amount": fill["cash_amount"],
            "rate": inverse,
            "cost": _whole(Decimal(fill["conversion_cost"]) * inverse / HUNDRED_MILLION),
        }


def _whole(number: Decimal) -> int:
    return int(number.quantize(Decimal(1)))
