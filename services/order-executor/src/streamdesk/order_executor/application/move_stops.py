"""Raises the stops of positions whose signal lets them follow the market."""

from decimal import Decimal

from streamdesk.contracts.events import BarClosed
from streamdesk.order_executor.adapters.ledger.stops import Stops
from streamdesk.order_executor.application.protect_positions import Protection
from streamdesk.runtime import logger, metrics
from streamdesk.trading.exits import raised_stop
from streamdesk.trading.markets import Ticks

log = logger(__name__)


class StopMoves:
    """Moves stops. Every executor sees every bar; a stop only rises, so the order does not matter.

    The ledger alone is changed: before the next bar, protection lets a broker that holds the stop
    itself follow.

    Args:
        stops: in the ledger.
        protection: knows the positions.
        ticks: price steps of the markets.
    """

    def __init__(self, stops: Stops, protection: Protection, ticks: Ticks) -> None:
        self._stops = stops
        self._protection = protection
        self._ticks = ticks

    async def on_bar(self, bar: BarClosed, atr: Decimal | None) -> None:
        """Move the stop of what is held of a bar's symbol.

        Args:
            bar: what the market did; protection has seen it already.
            atr: average true range with this bar; None while it is not known.

        Raises:
            DatabaseError: the same call again is safe.
        """
        holding = await self._protection.holding(bar.symbol)
        level = None if holding is None else raised_stop(holding, bar, atr, self._ticks)
        if holding is None or level is None:
            return
        if await self._stops.raise_to(holding, level):
            metrics.STOPS_RAISED.inc()
            log.info("stop raised", symbol=bar.symbol, stop=str(level), price=str(bar.close))
        self._protection.positions_changed()
