"""The ledger's tables. Numbers are whole: money in cents, prices in millionths, times in UTC.

A change here needs a step in `migrations/ledger/`; a test compares the two.
"""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from streamdesk.order_executor.adapters.database import TableSet
from streamdesk.order_executor.adapters.database.columns import ExitsText, Scaled, UtcTime

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
    # Worth of all opening balances, when the account was opened.
    money("initial_cash"),
    money("realized_pnl"),
    # What exchange rates made of positions that were sold, while they were held.
    money("fx_gain"),
    # How far the broker's trades have been read; only the broker can read it.
    Column("broker_cursor", Text, nullable=False, default=""),
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
    Column("exits", ExitsText),
    Column("score", Float, nullable=False),
    time("as_of"),
    money("reserved_cash"),
    Column("state", String(16), nullable=False),
    Column("filled_quantity", BigInteger, nullable=False, default=0),
    Column("broker_order_id", String(64)),
    Column("code", String(40)),
    Column("reason", Text),
    # From when on the broker may have it: committed before it is sent.
    time("sent_at", nullable=True),
    # What the broker says of it that cannot be true, and since when: its symbol is locked.
    Column("contradiction", String(40)),
    time("contradicted_at", nullable=True),
    # The process that made the intent, and the trace: for people, never for rules.
    Column("executor", String(200), nullable=False),
    Column("traceparent", String(55)),
    time("created_at"),
    time("updated_at"),
)
Index("orders_state", ORDERS.c.state)
# For the newest bar behind an order of a symbol, which every decision asks for.
Index("orders_symbol", ORDERS.c.symbol, ORDERS.c.as_of)
Index("orders_as_of", ORDERS.c.as_of)
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
    money("fx_gain"),
    # The broker had not named the fee: it counts 0 here, and comes in `late_fees`.
    Column("fee_due", Boolean, nullable=False, server_default=false()),
    # Of fills from before there were balances: each was converted whole. Part of the cash amount.
    money("conversion_cost"),
    time("booked_at"),
)
Index("fills_client_order_id", FILLS.c.client_order_id)
POSITIONS = Table(
    "positions",
    METADATA,
    Column("symbol", String(24), primary_key=True),
    Column("market", String(2), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    money("cost"),
    # The same in cents of the market's currency, without what its conversion cost.
    Column("local_cost", Scaled(2), nullable=False),
    price("market_price"),
    time("marked_at"),
    time("opened_at"),
    Column("entry_order_id", ForeignKey("orders.client_order_id"), nullable=False),
    Column("signal_id", Text, nullable=False),
    price("stop_loss", nullable=True),
    price("take_profit", nullable=True),
    Column("exits", ExitsText),
)
# Trades at the broker that no desk ordered: a person adopts each into the books, or ignores it.
EXTERNAL_TRADES = Table(
    "external_trades",
    METADATA,
    Column("trade_id", String(64), primary_key=True),
    # The broker's order, which the ledger does not have.
    Column("order_id", String(64), nullable=False),
    # NULL where the broker does not say what was traded.
    Column("symbol", String(24)),
    Column("side", String(4)),
    Column("quantity", BigInteger, nullable=False),
    price("price"),
    price("fee"),
    Column("currency", String(3), nullable=False),
    Column("state", String(8), nullable=False),
    time("seen_at"),
    time("settled_at", nullable=True),
    Column("reason", Text),
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
# Positions from their first share to their last, for the protections.
ROUND_TRIPS = Table(
    "round_trips",
    METADATA,
    Column("entry_order_id", ForeignKey("orders.client_order_id"), primary_key=True),
    Column("symbol", String(24), nullable=False),
    # Of what was sold so far.
    money("profit"),
    money("cost"),
    # Event time, and whether a stop loss did it; NULL while shares are left.
    time("closed_at", nullable=True),
    Column("by_stop", Boolean),
)
Index("round_trips_closed_at", ROUND_TRIPS.c.closed_at)
# What keeps positions from being opened. Times without "ended" are event times.
TRADE_LOCKS = Table(
    "trade_locks",
    METADATA,
    # SQLite counts rows only when the key is exactly INTEGER.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    # A symbol, or * for all.
    Column("symbol", String(24), nullable=False),
    Column("code", String(40), nullable=False),
    # NULL: until a person lifts it.
    time("until", nullable=True),
    Column("reason", Text, nullable=False),
    Column("value", Scaled(6), nullable=False),
    Column("limit", Scaled(6), nullable=False),
    time("made_at"),
    # When its end was noted, and whether it expired, was lifted, or the price explained itself.
    time("ended_at", nullable=True),
    Column("ended_by", String(8)),
    # Of a price that has jumped: the one before it, and the end of its bar.
    price("believed_price", nullable=True),
    time("believed_at", nullable=True),
    sqlite_autoincrement=True,
)
Index("trade_locks_ended_at", TRADE_LOCKS.c.ended_at)
# What losses are measured from: one row, from the first event on.
EQUITY_TRACK = Table(
    "equity_track",
    METADATA,
    Column("account", ForeignKey("account.id"), primary_key=True),
    Column("day", Date, nullable=False),
    money("day_equity"),
    money("peak_equity"),
)
# Cash by currency, in cents of each.
BALANCES = Table(
    "balances",
    METADATA,
    Column("currency", String(3), primary_key=True),
    Column("opening", Scaled(2), nullable=False),
    Column("amount", Scaled(2), nullable=False),
)
# What was converted to pay for a trade, in the transaction that booked the trade.
CONVERSIONS = Table(
    "conversions",
    METADATA,
    # SQLite counts rows only when the key is exactly INTEGER.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("client_order_id", ForeignKey("orders.client_order_id"), nullable=False),
    Column("trade_id", String(64), nullable=False),
    Column("from_currency", String(3), nullable=False),
    # The cost included.
    Column("from_amount", Scaled(2), nullable=False),
    Column("to_currency", String(3), nullable=False),
    Column("to_amount", Scaled(2), nullable=False),
    # Price of one unit of what came, in what left.
    Column("rate", Scaled(8), nullable=False),
    # NULL: a rate that holds at all times.
    time("rate_at", nullable=True),
    Column("cost", Scaled(2), nullable=False),
    time("booked_at"),
    sqlite_autoincrement=True,
)
# Fees that came after their trade was booked.
LATE_FEES = Table(
    "late_fees",
    METADATA,
    Column("trade_id", ForeignKey("fills.trade_id"), primary_key=True),
    price("fee"),
    Column("currency", String(3), nullable=False),
    Column("rate", Scaled(8), nullable=False),
    # Cents of the fee's currency that were paid, and of the account's that were lost.
    Column("amount", Scaled(2), nullable=False),
    money("realized_pnl"),
    time("booked_at"),
)
# What one unit of a currency was worth in the account's, from when on, and who said so.
RATES = Table(
    "rates",
    METADATA,
    Column("currency", String(3), primary_key=True),
    Column("at", UtcTime, primary_key=True),
    Column("rate", Scaled(8), nullable=False),
    Column("source", Text, nullable=False),
)
# What companies did to their shares, each booked once; also where nothing was held.
CORPORATE_ACTIONS = Table(
    "corporate_actions",
    METADATA,
    # SQLite counts rows only when the key is exactly INTEGER.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("symbol", String(24), nullable=False),
    Column("ex_date", Date, nullable=False),
    Column("kind", String(8), nullable=False),
    # Of a split: new shares for old.
    Column("ratio_new", BigInteger, nullable=False),
    Column("ratio_old", BigInteger, nullable=False),
    # Of a dividend: for one share.
    price("amount"),
    Column("currency", String(3), nullable=False),
    Column("source", Text, nullable=False),
    # End of the bar that it was booked at, and the last fill before.
    time("effective_at"),
    Column("booking", BigInteger, nullable=False),
    # Of the position that it concerned. NULL: none.
    Column("entry_order_id", ForeignKey("orders.client_order_id")),
    Column("shares_before", BigInteger, nullable=False),
    Column("shares_after", BigInteger, nullable=False),
    # Of a share, for the fraction that was paid out.
    price("price"),
    Column("rate", Scaled(8), nullable=False),
    # Cents of its currency; then the same in the account's.
    Column("local_amount", Scaled(2), nullable=False),
    money("cash_amount"),
    money("realized_pnl"),
    money("fx_gain"),
    price("stop_loss", nullable=True),
    price("take_profit", nullable=True),
    time("booked_at"),
    UniqueConstraint("symbol", "ex_date", "kind", name="corporate_actions_once"),
    sqlite_autoincrement=True,
)
# What a person asks of all executors: to cancel every order, to close every position.
DESK_REQUESTS = Table(
    "desk_requests",
    METADATA,
    # SQLite counts rows only when the key is exactly INTEGER.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("kind", String(12), nullable=False),
    Column("reason", Text, nullable=False),
    time("made_at"),
    # NULL: it is being carried out.
    time("ended_at", nullable=True),
    sqlite_autoincrement=True,
)
Index("desk_requests_ended_at", DESK_REQUESTS.c.ended_at)
# One for each order that it is about: one to cancel, or the one that opened a position.
DESK_REQUEST_ITEMS = Table(
    "desk_request_items",
    METADATA,
    Column("request_id", ForeignKey("desk_requests.id"), primary_key=True),
    Column("client_order_id", ForeignKey("orders.client_order_id"), primary_key=True),
    # NULL: not done yet.
    Column("outcome", String(10)),
    Column("detail", Text),
)
LEDGER = TableSet("ledger", METADATA, ACCOUNT)
