"""The paper broker's records. A change needs a step in `migrations/paper/`; a test says so."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from streamdesk.order_executor.adapters.database import TableSet
from streamdesk.order_executor.adapters.database.columns import Scaled, UtcTime
from streamdesk.trading.orders import OrderState

_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")
METADATA = MetaData()
# One row that writers lock, so that sequences are committed in order.
CLERK = Table("paper_clerk", METADATA, Column("id", Integer, primary_key=True))
ORDERS = Table(
    "paper_orders",
    METADATA,
    Column("id", _SEQUENCE, primary_key=True),
    Column("client_order_id", String(64), nullable=False, unique=True),
    Column("symbol", String(24), nullable=False),
    Column("side", String(4), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    # Of a stop at the exchange: the price that triggers it.
    Column("limit_price", Scaled(6), nullable=False),
    Column("state", String(10), nullable=False),
    Column("code", String(40)),
    Column("reason", Text),
    Column("times_asked", Integer, nullable=False),
    Column("as_of", UtcTime, nullable=False),
    sqlite_autoincrement=True,
)
OPEN = ORDERS.c.state.in_([state.value for state in OrderState if not state.is_done])
TRADES = Table(
    "paper_trades",
    METADATA,
    Column("sequence", _SEQUENCE, primary_key=True),
    Column("trade_id", String(64), nullable=False, unique=True),
    Column("client_order_id", ForeignKey("paper_orders.client_order_id"), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("price", Scaled(6), nullable=False),
    Column("fee", Scaled(6), nullable=False),
    Column("currency", String(3), nullable=False),
    # End of the bar that filled it; NULL for trades of before there were bars.
    Column("at", UtcTime),
    sqlite_autoincrement=True,
)
Index("paper_trades_client_order_id", TRADES.c.client_order_id)
# Cash by currency, counting the trades up to a sequence.
BALANCES = Table(
    "paper_balances",
    METADATA,
    Column("currency", String(3), primary_key=True),
    Column("amount", Scaled(2), nullable=False),
    Column("up_to", BigInteger, nullable=False),
)
# What was converted to pay for a trade.
CONVERSIONS = Table(
    "paper_conversions",
    METADATA,
    Column("id", _SEQUENCE, primary_key=True),
    Column("client_order_id", String(64), nullable=False),
    Column("trade_id", String(64), nullable=False),
    Column("from_currency", String(3), nullable=False),
    Column("from_amount", Scaled(2), nullable=False),
    Column("to_currency", String(3), nullable=False),
    Column("to_amount", Scaled(2), nullable=False),
    Column("rate", Scaled(8), nullable=False),
    Column("rate_at", UtcTime),
    Column("cost", Scaled(2), nullable=False),
    sqlite_autoincrement=True,
)
Index("paper_conversions_trade_id", CONVERSIONS.c.trade_id)
# Splits and dividends, each taken once.
ACTIONS = Table(
    "paper_actions",
    METADATA,
    Column("id", _SEQUENCE, primary_key=True),
    Column("symbol", String(24), nullable=False),
    Column("ex_date", Date, nullable=False),
    Column("kind", String(8), nullable=False),
    Column("ratio_new", BigInteger, nullable=False),
    Column("ratio_old", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("amount", Scaled(2), nullable=False),
    # The last trade before it.
    Column("up_to", BigInteger, nullable=False),
    UniqueConstraint("symbol", "ex_date", "kind", name="paper_actions_once"),
    sqlite_autoincrement=True,
)
# What the exchange remembers: its open orders, and entries whose positions are open.
BOOK = Table(
    "paper_book",
    METADATA,
    Column("client_order_id", ForeignKey("paper_orders.client_order_id"), primary_key=True),
    Column("symbol", String(24), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    # An `OpenOrder` as JSON: whole or not at all, and no rule of this program looks inside.
    Column("item", Text, nullable=False),
)
Index("paper_book_symbol", BOOK.c.symbol)
# The newest bar of each symbol that there were open orders for.
MARKET = Table(
    "paper_market",
    METADATA,
    Column("symbol", String(24), primary_key=True),
    Column("seen_at", UtcTime, nullable=False),
    # A `BarClosed` as JSON whose fills are reported late: it is matched before the next one.
    Column("late_bar", Text),
)
PAPER = TableSet("paper", METADATA, CLERK)
