"""Splits and dividends, worked out again in the order of booking, between the fills."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from streamdesk.order_executor.adapters.ledger.audit.findings import Discrepancy, Findings
from streamdesk.order_executor.adapters.ledger.audit.replay import RATE, Held, Recomputed
from streamdesk.order_executor.adapters.ledger.schema import CORPORATE_ACTIONS
from streamdesk.trading.corporate_actions import ActionKind


def actions_after(connection: Connection, number: int) -> Sequence[RowMapping]:
    """Actions that concerned shares, in the order of booking."""
    table = CORPORATE_ACTIONS.c
    query = select(CORPORATE_ACTIONS).where(table.id > number, table.shares_before > 0)
    return connection.execute(query.order_by(table.id)).mappings().all()


def absorb(
    replay: Recomputed, fills: Sequence[Any], actions: Iterable[RowMapping], findings: Findings
) -> None:
    """Book fills and actions in their order, and note what is kept of them differently.

    Args:
        replay: what they are added to.
        fills: as `fills_after` gives them.
        actions: of the same moment; those after the last fill as well, if it is the last of all.
        findings: takes the differences.
    """
    done = 0
    for row in actions:
        upto = done
        while upto < len(fills) and fills[upto][0] <= row["booking"]:
            upto += 1
        replay.absorb(fills[done:upto], findings)
        done = upto
        _absorb_action(replay, row, findings)
    replay.absorb(fills[done:], findings)


def _absorb_action(replay: Recomputed, row: RowMapping, findings: Findings) -> None:
    name = f"{row['kind']} of {row['symbol']} {row['ex_date']}"
    replay.action = row["id"]
    held = replay.held.get(row["symbol"])
    work = _split if row["kind"] == ActionKind.SPLIT else _dividend
    figures = work(held, row)
    if figures is None:
        has = 0 if held is None else held.quantity
        findings.append(Discrepancy(f"{name} shares", has, row["shares_before"]))
        return
    local, cash, gain, removed = figures
    of_rates = cash - removed - gain
    findings.compare_cents(f"{name} amount", local, _cents(row["local_amount"]))
    findings.compare_cents(f"{name} cash", cash, _cents(row["cash_amount"]))
    findings.compare_cents(f"{name} gain", gain, _cents(row["realized_pnl"]))
    findings.compare_cents(f"{name} currency gain", of_rates, _cents(row["fx_gain"]))
    currency = row["currency"]
    replay.balances[currency] = replay.balances.get(currency, 0) + local
    replay.gain += gain
    replay.fx_gain += of_rates
    if held is not None and held.entry_order_id == row["entry_order_id"]:
        held.levels = row["stop_loss"], row["take_profit"]
        if held.quantity == 0:
            del replay.held[row["symbol"]]


Figures = tuple[int, int, int, int]
"""Cash in the action's currency and in the account's, gain, and the cost that is gone: cents."""


def _split(held: Held | None, row: RowMapping) -> Figures | None:
    """What a split changes; `held` becomes what is left."""
    if held is None or held.quantity != row["shares_before"]:
        return None
    exact = Fraction(held.quantity * row["ratio_new"], row["ratio_old"])
    held.quantity = int(exact)
    part = (exact - held.quantity) / exact
    removed, local_removed = round(held.cost * part), round(held.local_cost * part)
    held.cost -= removed
    held.local_cost -= local_removed
    local = round(Fraction(row["price"]) * 100 * (exact - held.quantity))
    rate = _rate(row)
    return local, round(local * rate), round((local - local_removed) * rate), removed


def _dividend(_: Held | None, row: RowMapping) -> Figures:
    """What a dividend changes; it takes no cost out."""
    local = round(Fraction(row["shares_before"] * row["amount"]) * 100)
    cash = round(local * _rate(row))
    return local, cash, cash, 0


def _rate(row: RowMapping) -> Fraction:
    return Fraction(int(row["rate"] * RATE), RATE)


def _cents(amount: Decimal) -> int:
    return int(amount * 100)
