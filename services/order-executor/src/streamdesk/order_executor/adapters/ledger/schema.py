"""The ledger's tables. Numbers are whole: money in cents, prices in millionths, times in UTC.

A change here needs a step in `migrations/ledger/`; a test compares the two.
"""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

from streamdesk.order_executor.adapters.database import TableSet
from streamdesk.order_executor.adapters.database.columns import Scaled, UtcTime

METADATA = MetaData()


def money(name: str, *, nullable: bool = False) -> Column[Decimal]:
    """Cents of the account's currency."""
    return Column(name, Scaled(2), nullable=nullable)


def price(name: str, *, nullable: bool = False) -> Column[Decimal]:
    """Millionths of the market's currency."""
    return Column(name, Scaled(6), nullable=nullable)


def time(name: str, *, nullable: bool = False) -> Column[datetime]:
    """A time in UTC."""
    return Column(name, UtcTime, nullable=nullable)


ACCOUNT = Table(
    "account",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("currency", String(3), nullable=False),
    money("initial_cash"),
    money("cash"),
    money("realized_pnl"),
    # How far the broker's trades have been read.
    Column("broker_sequence", BigInteger, nullable=False, default=0),
    # How often the portfolio was valued: the identity of PortfolioValued.
    Column("valuations", BigInteger, nullable=False, default=0),
    time("valued_at", nullable=True),
    # Whether prices moved since then.
    Column("moved", Boolean, nullable=False, default=False),
    time("opened_at"),
    # The kill switch: since when, and why. NULL: not halted.
    time("halted_at", nullable=True),
    Column("halted_reason", Text),
    # What it lets through meanwhile. NULL: exits, as a halt did before there were states.
    Column("trading_state", String(8)),
)
# One row for each signal: what was decided, once.
SIGNALS = Table(
    "signals",
    METADATA,
    # Its publisher chooses the id.
    Column("signal_id", Text, primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("symbol", String(24), nullable=False),
    Column("side", String(4), nullable=False),
    Column("score", Float, nullable=False),
    time("as_of"),
    # NULL: it became an order.
    Column("refusal_code", String(40)),
    Column("refusal_reason", Text),
    Column("refusal_value", Scaled(6)),
    Column("refusal_limit", Scaled(6)),
    time("decided_at"),
)
ORDERS = Table(
    "orders",
    METADATA,
    Column("client_order_id", String(64), primary_key=True),
    # Of the signal that ordered it; NULL for a protective exit, which no signal ordered.
    Column("signal_id", ForeignKey("signals.signal_id"), unique=True),
    Column("origin_signal_id", Text, nullable=False),
    Column("origin", String(12), nullable=False),
    Column("fingerprint", String(64), nullable=False, unique=True),
    Column("entry_order_id", ForeignKey("orders.client_order_id")),
    Column("symbol", String(24), nullable=False),
    Column("market", String(2), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("side", String(4), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    price("limit_price"),
    price("reference_price"),
    price("stop_loss", nullable=True),
    price("take_profit", nullable=True),
    Column("score", Float, nullable=False),
    time("as_of"),
    money("reserved_cash"),
    Column("state", String(10), nullable=False),
    Column("filled_quantity", BigInteger, nullable=False, default=0),
    Column("broker_order_id", String(64)),
    Column("code", String(40)),
    Column("reason", Text),
    # The process that made the intent, and the trace: for people, never for rules.
    Column("executor", String(200), nullable=False),
    Column("traceparent", String(55)),
    time("created_at"),
    time("updated_at"),
)
Index("orders_state", ORDERS.c.state)
# What a live order reserves: its symbol (so there is only one), its cash, its position's slot.
RESERVATIONS = Table(
    "reservations",
    METADATA,
    Column("client_order_id", ForeignKey("orders.client_order_id"), primary_key=True),
    Column("symbol", String(24), nullable=False, unique=True),
    Column("market", String(2), nullable=False),
    Column("side", String(4), nullable=False),
    money("cash"),
)
FILLS = Table(
    "fills",
    METADATA,
    Column("trade_id", String(64), primary_key=True),
    # In which order they were booked.
    Column("booking", BigInteger, nullable=False, unique=True),
    Column("client_order_id", ForeignKey("orders.client_order_id"), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    price("price"),
    price("fee"),
    Column("currency", String(3), nullable=False),
    Column("rate", Scaled(8), nullable=False),
    money("cash_amount"),
    money("realized_pnl"),
    time("booked_at"),
)
POSITIONS = Table(
    "positions",
    METADATA,
    Column("symbol", String(24), primary_key=True),
    Column("market", String(2), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    money("cost"),
    price("market_price"),
    time("marked_at"),
    time("opened_at"),
    Column("entry_order_id", ForeignKey("orders.client_order_id"), nullable=False),
    Column("signal_id", Text, nullable=False),
    price("stop_loss", nullable=True),
    price("take_profit", nullable=True),
)
# Limits that are reached at present: each is announced once.
ALERTS = Table("alerts", METADATA, Column("key", String(64), primary_key=True), time("raised_at"))
# Events that the transactions above caused; published afterwards, in this order.
OUTBOX = Table(
    "outbox",
    METADATA,
    # SQLite counts rows only when the key is exactly INTEGER.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("event_id", String(36), nullable=False, unique=True),
    Column("topic", String(16), nullable=False),
    Column("type", String(40), nullable=False),
    Column("version", Integer, nullable=False),
    Column("body", Text, nullable=False),
    # The span in which it happened: another process may publish it.
    Column("traceparent", String(55)),
    time("created_at"),
    time("published_at", nullable=True),
    sqlite_autoincrement=True,
)
Index("outbox_unpublished", OUTBOX.c.published_at, OUTBOX.c.id)
# Which process holds a task that only one may do.
LEASES = Table(
    "leases",
    METADATA,
    Column("name", String(32), primary_key=True),
    Column("owner", String(200), nullable=False),
    time("until"),
)
LEDGER = TableSet("ledger", METADATA, ACCOUNT)
