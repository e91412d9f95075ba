"""Rows of the ledger as tables."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamdesk.console.adapters.terminal.tables import NONE, new_table

Row = dict[str, Any]
ROWS_OF_A_TABLE = 500
"""More rows are shown in several tables: one of 100,000 rows would take a gigabyte to lay out."""

STATES = {
    "FILLED": "green",
    "CANCELED": "dim",
    "EXPIRED": "dim",
    "REJECTED": "red",
    "UNKNOWN": "bold yellow",
    "PENDING_CANCEL": "yellow",
}
SIDES = {"BUY": "green", "SELL": "red"}
# Header and name in the row; without a header it is the currency of what stands before it.
COLUMNS: dict[str, Sequence[tuple[str, str]]] = {
    "orders": (
        ("made at", "created_at"), ("symbol", "symbol"), ("side", "side"),
        ("quantity", "quantity"), ("filled", "filled_quantity"), ("limit", "limit_price"),
        ("average", "average_price"), ("", "currency"), ("state", "state"), ("why", "code"),
        ("from", "origin"), ("order", "client_order_id"),
    ),
    "fills": (
        ("booked at", "booked_at"), ("symbol", "symbol"), ("side", "side"),
        ("quantity", "quantity"), ("price", "price"), ("fee", "fee"), ("", "currency"),
        ("cash", "cash_amount"), ("gain", "realized_pnl"), ("currency gain", "fx_gain"),
        ("", "account_currency"), ("order", "client_order_id"),
    ),
    "positions": (
        ("symbol", "symbol"), ("quantity", "quantity"), ("average", "average_price"),
        ("price", "market_price"), ("stop", "stop_loss"), ("target", "take_profit"),
        ("", "currency"), ("cost", "cost"), ("value", "value"), ("gain", "unrealized_pnl"),
        ("currency gain", "fx_gain"), ("", "account_currency"), ("priced at", "marked_at"),
    ),
    "cash": (
        ("at", "at"), ("what", "movement"), ("symbol", "symbol"), ("quantity", "quantity"),
        ("amount", "amount"), ("balance", "balance"), ("", "currency"),
        ("order", "client_order_id"),
    ),
}  # fmt: skip
NUMBERS = frozenset({
    "quantity", "filled_quantity", "limit_price", "average_price", "price", "fee", "cash_amount",
    "realized_pnl", "fx_gain", "market_price", "stop_loss", "take_profit", "cost", "value",
    "unrealized_pnl", "amount", "balance",
})  # fmt: skip
COLOURED: dict[str, dict[str, str]] = {"state": STATES, "side": SIDES, "movement": SIDES}
TIMES = frozenset({"created_at", "booked_at", "marked_at", "at"})
GAINS = frozenset({"realized_pnl", "unrealized_pnl"})
FIGURES = (
    ("cash", "cash"), ("reserved by open orders", "reserved_cash"), ("free", "free_cash"),
    ("positions", "positions_value"), ("equity", "equity"), ("began with", "initial_cash"),
    ("realised gain", "realized_pnl"), ("open gain", "unrealized_pnl"),
    ("currency gain", "fx_gain"), ("equity when the day began", "day_equity"),
    ("highest equity", "peak_equity"),
)  # fmt: skip


class RowsView:
    """Prints rows as tables, each as soon as it is full.

    Args:
        console: where to.
        kind: what they are.
    """

    def __init__(self, console: Console, kind: str) -> None:
        self._console = console
        self._columns = COLUMNS[kind]
        self._rows: list[Row] = []

    def add(self, row: Row) -> None:
        """One more row."""
        self._rows.append(row)
        if len(self._rows) == ROWS_OF_A_TABLE:
            self._print()

    def end(self, shown: int, there_are: int, what: str) -> None:
        """Print what is left, and how much of all it was."""
        if self._rows:
            self._print()
        if not shown:
            self._console.print(f"no {what}", style="dim")
        elif shown < there_are:
            hint = f"the newest {shown:,} of {there_are:,} {what}; --limit N shows more"
            self._console.print(hint, style="dim")

    def _print(self) -> None:
        table = new_table()
        for header, name in self._columns:
            self._add_column(table, header, name)
        for row in self._rows:
            table.add_row(*(cell(name, row.get(name)) for _, name in self._columns))
        self._console.print(table)
        self._rows = []

    def _add_column(self, table: Table, header: str, name: str) -> None:
        zone = f" ({datetime.now().astimezone():%Z})" if name in TIMES else ""
        justify: Any = "right" if name in NUMBERS else "left"
        table.add_column(header + zone, justify=justify, overflow="fold")


def cell(name: str, value: Any) -> Text:  # noqa: ANN401 - whatever a row holds
    """One value of a row."""
    if value is None:
        return Text(NONE, style="dim")
    if name in TIMES:
        return Text(f"{datetime.fromisoformat(value).astimezone():%Y-%m-%d %H:%M:%S}")
    if name in NUMBERS:
        return Text(f"{Decimal(value):,}", style=_of_a_gain(value) if name in GAINS else "")
    return Text(str(value), style=COLOURED.get(name, {}).get(value, ""))


def _of_a_gain(value: str) -> str:
    amount = Decimal(value)
    return "red" if amount < 0 else "green" if amount > 0 else ""


def equity(row: Row) -> Table:
    """The account's figures."""
    table = new_table(f"account {row['account']}, {row['currency']}")
    table.add_column("")
    table.add_column(row["currency"], justify="right")
    for label, name in FIGURES:
        if row.get(name) is not None:
            table.add_row(label, Text(f"{Decimal(row[name]):,}"))
    for label, name in (("loss of the day", "day_loss_percent"), ("drawdown", "drawdown_percent")):
        if row.get(name) is not None:
            table.add_row(label, Text(f"{Decimal(row[name]):.2f} %"))
    table.add_row("positions, open orders", f"{row['positions']}, {row['open_orders']}")
    table.add_row("trading", Text(row["trading_state"], style=_of_a_state(row["trading_state"])))
    return table


def _of_a_state(state: str) -> str:
    return {"ACTIVE": "green", "REDUCING": "bold yellow"}.get(state, "bold red")


def findings(rows: Sequence[Row]) -> Table:
    """What does not add up."""
    table = new_table()
    said: dict[str, Callable[[Row], str]] = {
        "book": lambda row: row["book"],
        "what": lambda row: row["what"],
        "is kept": lambda row: row["found"],
        "follows": lambda row: row["expected"],
        "stops trading": lambda row: "yes" if row["stops_trading"] else "no",
    }
    for name in said:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(value(row)) for value in said.values()))
    return table
