"""Markets and instruments: which exist, in what lots and ticks they trade."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum

from streamdesk.trading.dated import Dated, trading_day
from streamdesk.trading.market_tables import Bands, built_in


class MarketCode(StrEnum):
    """Where an instrument trades: the end of its symbol."""

    US = "US"
    HK = "HK"


CURRENCY = {MarketCode.US: "USD", MarketCode.HK: "HKD"}
CODE = {
    MarketCode.US: re.compile(r"[A-Z][A-Z0-9]{0,9}([.-][A-Z0-9]{1,3})?"),
    MarketCode.HK: re.compile(r"[1-9][0-9]{0,4}"),
}


@dataclass(frozen=True, slots=True)
class TradableInstrument:
    """Something that can be traded.

    Attributes:
        symbol: as in 700.HK.
        market: where it trades.
        lot_size: shares in one board lot; orders are multiples of it.
    """

    symbol: str
    market: MarketCode
    lot_size: int

    @property
    def currency(self) -> str:
        """ISO 4217 code of its prices."""
        return CURRENCY[self.market]


class Ticks:
    """The smallest price steps of every market, by date.

    Args:
        tables: price bands by market; the built-in ones unless given.
    """

    def __init__(self, tables: Mapping[str, Dated[Bands]] | None = None) -> None:
        self._tables = built_in().ticks if tables is None else tables

    def _bands(self, market: MarketCode, at: datetime) -> Bands:
        return self._tables[market].on(trading_day(market, at))

    def tick(self, market: MarketCode, price: Decimal, at: datetime) -> Decimal:
        """The price step at this price and time."""
        return max(
            (band for band in self._bands(market, at) if band[0] <= price),
            key=lambda band: band[0],
        )[1]

    def is_on_tick(self, market: MarketCode, price: Decimal, at: datetime) -> bool:
        """Whether the exchange takes this price."""
        return price > 0 and price % self.tick(market, price, at) == 0

    def down(self, market: MarketCode, price: Decimal, at: datetime) -> Decimal:
        """The nearest valid price that is not higher; 0 below the first tick."""
        tick = self.tick(market, price, at)
        return (price / tick).to_integral_value(ROUND_FLOOR) * tick

    def up(self, market: MarketCode, price: Decimal, at: datetime) -> Decimal:
        """The nearest valid price that is not lower."""
        tick = self.tick(market, price, at)
        return (price / tick).to_integral_value(ROUND_CEILING) * tick


class Instruments:
    """Every instrument that can be traded.

    A US share trades in single shares, so every well-formed US code is known. A board lot in Hong
    Kong is the issuer's choice: without a lot size the instrument is unknown, unless a default is
    set.

    Args:
        lots: lot size by symbol at any time, over the tables.
        hk_default_lot: lot size of Hong Kong symbols without one; 0: they are unknown.
        tables: lot sizes by symbol and date; the built-in ones unless given.
    """

    def __init__(
        self,
        lots: Mapping[str, int] | None = None,
        hk_default_lot: int = 0,
        tables: Mapping[str, Dated[int]] | None = None,
    ) -> None:
        self._lots = lots or {}
        self._tables = built_in().lots if tables is None else tables
        self._default_lot = {MarketCode.US: 1, MarketCode.HK: hk_default_lot}

    def find(self, symbol: str, at: datetime) -> TradableInstrument | None:
        """The instrument of this name, None where there is none or its lot size is not known.

        Args:
            symbol: in our spelling.
            at: the time of the market whose lot is wanted.
        """
        code, _, suffix = symbol.rpartition(".")
        if suffix not in MarketCode.__members__:
            return None
        market = MarketCode(suffix)
        lot = self._lot_size(symbol, market, at)
        if lot <= 0 or not CODE[market].fullmatch(code):
            return None
        return TradableInstrument(symbol=symbol, market=market, lot_size=lot)

    def _lot_size(self, symbol: str, market: MarketCode, at: datetime) -> int:
        if symbol in self._lots:
            return self._lots[symbol]
        dated = self._tables.get(symbol)
        return self._default_lot[market] if dated is None else dated.on(trading_day(market, at))
