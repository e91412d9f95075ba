"""Holds back bars whose price has jumped, before anything acts on them."""

import time
from collections.abc import Mapping
from decimal import Decimal

from streamdesk.contracts.events import BarClosed
from streamdesk.order_executor.adapters.ledger.price_halts import PriceHalt, PriceHalts
from streamdesk.runtime import logger, metrics
from streamdesk.trading.market_view import MarketView
from streamdesk.trading.price_jumps import BelievedPrice, PriceJump, jump_of

log = logger(__name__)
VIEW_SECONDS = 1.0
"""How old the cached halts may be; a bar that jumps asks the ledger itself."""


class PriceGuard:
    """Decides of each bar whether it is believed. Every executor does, and the ledger keeps it.

    The first bar of a symbol of which nothing is known has nothing to be held against.

    Args:
        halts: of all executors.
        view: has the last price that was believed; it is not given the bars held back.
        bound_percent: how far a price may be from it; 0: every bar is believed.
    """

    def __init__(self, halts: PriceHalts, view: MarketView, bound_percent: Decimal) -> None:
        self._halts = halts
        self._view = view
        self._bound_percent = bound_percent
        self._open: Mapping[str, PriceHalt] = {}
        self._seen_at = float("-inf")

    async def believes(self, bar: BarClosed) -> bool:
        """Whether a bar is to be acted upon; otherwise its symbol is halted.

        Raises:
            DatabaseError: it is not known; the same call again is safe.
        """
        if self._bound_percent == 0:
            return True
        halt = (await self._open_halts()).get(bar.symbol)
        before = halt.before if halt else await self._before(bar.symbol)
        if before is None:
            return True
        jump = jump_of(bar, before, self._bound_percent)
        if jump is not None and (halt or not await self._is_explained(jump)):
            metrics.BARS_HELD_BACK.inc()
            return False
        if halt is not None and bar.timestamp > halt.since:
            await self._halts.end_returned(bar.symbol, bar.timestamp)
            self.forget()
            log.info("price is back", symbol=bar.symbol, price=bar.close)
        return True

    def jumps(self, bar: BarClosed) -> bool:
        """Whether a bar is too far from the view, whatever the ledger knows about it."""
        before = self._view.believed(bar.symbol)
        return before is not None and jump_of(bar, before, self._bound_percent) is not None

    def forget(self) -> None:
        """Ask the ledger for the halts again before the next bar."""
        self._seen_at = float("-inf")

    async def _open_halts(self) -> Mapping[str, PriceHalt]:
        now = time.monotonic()
        if now - self._seen_at > VIEW_SECONDS:
            self._open = await self._halts.open_halts()
            self._seen_at = now
        return self._open

    async def _before(self, symbol: str) -> BelievedPrice | None:
        return self._view.believed(symbol) or await self._halts.price_of_position(symbol)

    async def _is_explained(self, jump: PriceJump) -> bool:
        # A bar of the past, seen again: what it was is decided, and it is no price of today.
        if not jump.is_newer:
            return False
        if await self._halts.is_believed(jump):
            return True
        self.forget()
        log.warning(
            "price has jumped: bars are held back",
            symbol=jump.symbol,
            price=str(jump.price),
            before=str(jump.before.price),
            percent=str(jump.percent),
        )
        return False
