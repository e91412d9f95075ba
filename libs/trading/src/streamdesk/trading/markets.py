"""Markets and instruments: which exist, in what lots and ticks they trade."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum

from streamdesk.trading.markets_data import (
    HK_LOTS,
    HK_PHASE2,
    HK_TICKS,
    US_TICKS,
    Bands,
)


class MarketCode(StrEnum):
    """Where an instrument trades: the end of its symbol."""

    US = "US"
    HK = "HK"


CURRENCY = {MarketCode.US: "USD", MarketCode.HK: "HKD"}
# A trading day is a date at the exchange. The US table has one row, so UTC is near enough there.
ZONE: dict[MarketCode, tzinfo] = {MarketCode.US: UTC, MarketCode.HK: timezone(timedelta(hours=8))}
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
        hk_phase2_from: first day of HKEX's phase 2 spread table; None while it is not in force.
    """

    def __init__(self, hk_phase2_from: date | None = None) -> None:
        hk = HK_TICKS if hk_phase2_from is None else (*HK_TICKS, (hk_phase2_from, HK_PHASE2))
        self._tables = {MarketCode.US: US_TICKS, MarketCode.HK: hk}

    def _bands(self, market: MarketCode, at: datetime) -> Bands:
        day = at.astimezone(ZONE[market]).date()
        tables = self._tables[market]
        in_force = [bands for since, bands in tables if since <= day]
        return in_force[-1] if in_force else tables[0][1]

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
        lots: lot size by symbol, over the built-in ones.
        hk_default_lot: lot size of Hong Kong symbols without one; 0: they are unknown.
    """

    def __init__(self, lots: Mapping[str, int] | None = None, hk_default_lot: int = 0) -> None:
        self._lots = {**HK_LOTS, **(lots or {})}
        self._default_lot = {MarketCode.US: 1, MarketCode.HK: hk_default_lot}

    def find(self, symbol: str) -> TradableInstrument | None:
        """The instrument of this name, None where there is none or its lot size is not known."""
        code, _, suffix = symbol.rpartition(".")
        if suffix not in MarketCode.__members__:
            return None
        market = MarketCode(suffix)
        lot = self._lots.get(symbol, self._default_lot[market])
        if lot <= 0 or not CODE[market].fullmatch(code):
            return None
        return TradableInstrument(symbol=symbol, market=market, lot_size=lot)
