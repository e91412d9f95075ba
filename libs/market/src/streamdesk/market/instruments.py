"""Instruments, and the price steps of their markets."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ticks = tuple[tuple[float, float], ...]

CRYPTO = "CRYPTO"
"""The market of pairs such as BTCUSDT: they name none, as each exchange has them all."""

CURRENCIES = {"US": "USD", "HK": "HKD", CRYPTO: "USDT"}

# (prices below this, have this tick). Enough for a simulated market; the order-executor, which
# has to get it right for every day, has the exchanges' dated tables.
_TICKS: dict[str, Ticks] = {
    "US": ((1.0, 0.0001), (float("inf"), 0.01)),
    "HK": (
        (0.25, 0.001), (0.5, 0.005), (20.0, 0.01), (50.0, 0.02), (100.0, 0.05), (200.0, 0.1),
        (500.0, 0.2), (1_000.0, 0.5), (2_000.0, 1.0), (5_000.0, 2.0), (float("inf"), 5.0),
    ),
    CRYPTO: (
        (0.001, 1e-8), (0.5, 0.00001), (5.0, 0.0001), (50.0, 0.001), (float("inf"), 0.01),
    ),
}  # fmt: skip
_STEPS = {
    market: (np.array([below for below, _ in ticks]), np.array([tick for _, tick in ticks]))
    for market, ticks in _TICKS.items()
}
_DECIMALS = 8


@dataclass(frozen=True, slots=True)
class Instrument:
    """One entry of a watchlist.

    Args:
        symbol: as in AAPL.US, or BTCUSDT.
        start_price: price at which the simulated market begins, in `currency`.
        lot_size: shares in a lot, or the smallest part of a coin; simulated volumes are whole lots.
        currency: ISO 4217 code of its prices, or the coin they are in.
    """

    symbol: str
    start_price: float
    lot_size: float = 1
    currency: str = "USD"

    @property
    def market(self) -> str:
        """US, HK or CRYPTO."""
        return market_of(self.symbol)


def market_of(symbol: str) -> str:
    """The market of an instrument: what follows the last point of its symbol, else CRYPTO."""
    _, point, market = symbol.rpartition(".")
    return market if point else CRYPTO


def tick_size(market: str, price: float) -> float:
    """The step in which prices move at this price."""
    return next(tick for below, tick in _TICKS[market] if price < below)


def on_tick(market: str, price: float) -> float:
    """The price that can be traded nearest to this one; at least one tick."""
    tick = tick_size(market, price)
    return round(max(1, round(price / tick)) * tick, _DECIMALS)


def on_ticks(market: str, prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """The prices that can be traded nearest to these, as `on_tick` has them one by one."""
    below, ticks = _STEPS[market]
    tick = ticks[np.searchsorted(below, prices, side="right")]
    rounded: NDArray[np.float64] = np.maximum(1.0, np.rint(prices / tick)) * tick
    return np.round(rounded, _DECIMALS)


def _shares(currency: str, market: str, *rows: tuple[str, float, int]) -> tuple[Instrument, ...]:
    return tuple(Instrument(f"{name}.{market}", price, lot, currency) for name, price, lot in rows)


def _us(**prices: float) -> tuple[Instrument, ...]:
    return _shares("USD", "US", *((name, price, 1) for name, price in prices.items()))


def _hk(*rows: tuple[str, float, int]) -> tuple[Instrument, ...]:
    return _shares("HKD", "HK", *rows)


def _pairs(lot_size: float, **prices: float) -> tuple[Instrument, ...]:
    return tuple(
        Instrument(f"{coin}USDT", price, lot_size, "USDT") for coin, price in prices.items()
    )


BUILT_IN: tuple[Instrument, ...] = (
    *_us(AAPL=271.0, MSFT=480.0, NVDA=180.0, TSLA=400.0, AMZN=230.0, GOOGL=290.0, META=600.0),
    *_hk(
        ("700", 620.0, 100),
        ("9988", 160.0, 100),
        ("3690", 100.0, 100),
        ("5", 110.0, 400),
        ("1810", 42.0, 200),
    ),
)
"""The feed's own twelve."""

UNIVERSE: tuple[Instrument, ...] = (
    *BUILT_IN,
    *_us(AVGO=340.0, ORCL=220.0, CRM=240.0, ADBE=330.0, AMD=220.0, INTC=36.0, QCOM=170.0),
    *_us(NFLX=110.0, JPM=300.0, BAC=53.0, V=330.0, MA=540.0, WMT=105.0, COST=920.0, HD=350.0),
    *_us(PG=147.0, KO=72.0, PEP=146.0, JNJ=200.0, PFE=25.0, XOM=118.0, CVX=150.0, DIS=105.0),
    Instrument("BRK.B.US", 510.0),
    *_hk(
        ("388", 420.0, 100),
        ("941", 86.0, 500),
        ("939", 8.2, 1_000),
        ("1398", 6.3, 1_000),
        ("2318", 57.0, 500),
        ("1299", 80.0, 200),
        ("9618", 118.0, 50),
        ("9999", 218.0, 100),
        ("1024", 68.0, 100),
        ("2020", 84.0, 200),
        ("1211", 100.0, 500),
        ("27", 39.0, 1_000),
    ),
    *_pairs(0.0001, BTC=91_000.0, ETH=3_000.0),
    *_pairs(0.001, BNB=880.0, SOL=135.0, LTC=90.0, BCH=520.0, AAVE=175.0),
    *_pairs(0.01, AVAX=14.0, LINK=13.0, ATOM=2.7, UNI=7.0, ETC=14.5, INJ=6.0, APT=2.7, ICP=4.5),
    *_pairs(0.1, XRP=2.1, ADA=0.45, DOT=2.5, NEAR=2.0, FIL=1.7, SUI=1.5, TON=1.6, ARB=0.22),
    *_pairs(1, DOGE=0.15, TRX=0.28, XLM=0.25, OP=0.33, HBAR=0.14, SHIB=0.0000085, PEPE=0.0000045),
)
"""The 78 that analyses cover where nothing else is set: 48 shares, 30 pairs against USDT."""
