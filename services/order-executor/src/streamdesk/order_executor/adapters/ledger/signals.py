"""Rows of signals: what was decided about each, once.

Every function runs inside a caller's transaction.
"""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, RowMapping, insert, select

from streamdesk.order_executor.adapters.ledger import rows
from streamdesk.order_executor.adapters.ledger.schema import SIGNALS
from streamdesk.order_executor.domain import SignalDecision
from streamdesk.trading.orders import Intent
from streamdesk.trading.risk import Code, RiskVerdict, TradeRequest

_SIGNAL = select(SIGNALS).where(SIGNALS.c.signal_id == rows.THIS)
_INSERT = insert(SIGNALS)


def decision_about(connection: Connection, signal_id: str) -> SignalDecision | None:
    """What was decided about a signal before; None if it is new."""
    row = connection.execute(_SIGNAL, {"this": signal_id}).mappings().one_or_none()
    if row is None:
        return None
    if row["refusal_code"] is None:
        return SignalDecision(rows.order_of_signal(connection, signal_id), None, is_new=False)
    return SignalDecision(None, _refusal(row), is_new=False)


def insert_decision(
    connection: Connection, request: TradeRequest, outcome: Intent | RiskVerdict, now: datetime
) -> None:
    """Write what was decided about a signal."""
    values = {
        "signal_id": request.signal_id,
        "fingerprint": request.fingerprint,
        "symbol": request.symbol,
        "side": request.side,
        "score": request.score,
        "as_of": request.as_of,
        "decided_at": now,
    }
    if isinstance(outcome, RiskVerdict):
        values |= {
            "refusal_code": outcome.code,
            "refusal_reason": outcome.reason,
            "refusal_value": _millionths(outcome.value),
            "refusal_limit": _millionths(outcome.limit),
        }
    connection.execute(_INSERT, values)


def _millionths(number: Decimal) -> Decimal:
    return number.quantize(Decimal("0.000001"))


def _refusal(row: RowMapping) -> RiskVerdict:
    return RiskVerdict(
        code=Code(row["refusal_code"]),
        passed=False,
        value=row["refusal_value"],
        limit=row["refusal_limit"],
        reason=row["refusal_reason"],
    )
