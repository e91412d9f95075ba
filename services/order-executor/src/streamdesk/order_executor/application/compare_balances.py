"""Compares the ledger's cash by currency with the broker's."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol

from streamdesk.order_executor.adapters.broker import Broker, TradePage
from streamdesk.order_executor.adapters.ledger import Ledger
from streamdesk.order_executor.adapters.ledger.audit import Checked, Discrepancy
from streamdesk.order_executor.adapters.ledger.cash import CashState
from streamdesk.order_executor.application.check_books import Audit
from streamdesk.runtime import logger
from streamdesk.trading.money import ZERO
from streamdesk.trading.orders import Trade
from streamdesk.trading.portfolio import moved

log = logger(__name__)
MOST_TRIES = 5


class Cash(Protocol):
    """What is asked of the broker."""

    async def balances(self) -> Mapping[str, Decimal]:
        """Cash by currency."""

    async def trades(self, after: str) -> TradePage:
        """Trades after a cursor."""


class BalanceComparison:
    """Compares at one set of trades: what the broker has and the ledger has not is added.

    Args:
        ledger: the account's books.
        broker: how the broker is asked.
    """

    def __init__(self, ledger: Ledger, broker: Cash) -> None:
        self._ledger = ledger
        self._broker = broker

    async def differences(self) -> list[Discrepancy]:
        """A finding for each currency that differs.

        None where nothing can be said: the broker traded during every try, it does not say of a
        trade what was traded, or a fee is still to come.

        Raises:
            DatabaseError, BrokerUnavailableError, OutcomeUnknownError: something was not read.
        """
        for _ in range(MOST_TRIES):
            state = await self._ledger.cash_state()
            if state.fees_due:
                return []
            trades, cursor = await _trades_after(self._broker, state.cursor)
            found = await self._broker.balances()
            if (await self._broker.trades(cursor)).trades:
                continue
            expected = await _expected(self._ledger, state, trades)
            return [] if expected is None else _differences(expected, found)
        log.info("balances not compared: the broker trades all the time")
        return []


async def balances_at(broker: Broker, ledger: Ledger) -> Mapping[str, Decimal]:
    """What a broker's balances come to, as far as the ledger knows them."""
    state = await ledger.cash_state()
    trades, _ = await _trades_after(broker, state.cursor)
    return await _expected(ledger, state, trades) or state.balances


class AuditWithBalances:
    """An audit that compares the balances as well.

    A difference is found and announced, and does not stop trading: the broker itself refuses what
    it has no cash for, and what protects positions must not wait for a person who explains a
    deposit or an interest.

    Args:
        audit: of everything else.
        comparison: of the balances.
    """

    def __init__(self, audit: Audit, comparison: BalanceComparison) -> None:
        self._audit = audit
        self._comparison = comparison

    async def check(self) -> Checked:
        """As in `Audit`."""
        found = await self._audit.check()
        found.broker.extend(await self._comparison.differences())
        return found


async def _trades_after(broker: Cash, cursor: str) -> tuple[list[Trade], str]:
    found: list[Trade] = []
    while (page := await broker.trades(cursor)).trades:
        found += page.trades
        cursor = page.cursor
    return found, cursor


async def _expected(
    ledger: Ledger, state: CashState, trades: list[Trade]
) -> dict[str, Decimal] | None:
    """The ledger's balances with what the broker has besides; None where that cannot be known."""
    booked = await ledger.booked_by([trade.trade_id for trade in trades], state.booking)
    missing = {trade.trade_id: trade for trade in trades if trade.trade_id not in booked}
    missing |= {trade.trade_id: trade for trade in state.external}
    balances = dict(state.balances)
    for trade in missing.values():
        order = None if trade.side else await ledger.order(trade.client_order_id)
        side = order.intent.side if order else trade.side
        if side is None:
            return None
        moves = [(trade.currency, moved(trade, side))]
        for item in trade.conversions:
            moves.append((item.from_currency, -item.from_amount))
            moves.append((item.to_currency, item.to_amount))
        for currency, amount in moves:
            balances[currency] = balances.get(currency, ZERO) + amount
    return balances


def _differences(
    expected: Mapping[str, Decimal], found: Mapping[str, Decimal]
) -> list[Discrepancy]:
    return [
        Discrepancy(f"broker's {currency} balance", theirs, ours, stops_trading=False)
        for currency in sorted({*expected, *found})
        if (theirs := found.get(currency, ZERO)) != (ours := expected.get(currency, ZERO))
    ]
