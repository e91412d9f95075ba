"""What is watched, and the price steps of its market."""

from dataclasses import dataclass

Ticks = tuple[tuple[float, float], ...]

# (prices below this, have this tick). Enough for a simulated market; the order-executor, which
# has to get it right for every day, has the exchanges' dated tables.
_TICKS: dict[str, Ticks] = {
    "US": ((1.0, 0.0001), (float("inf"), 0.01)),
    "HK": (
        (0.25, 0.001), (0.5, 0.005), (20.0, 0.01), (50.0, 0.02), (100.0, 0.05), (200.0, 0.1),
        (500.0, 0.2), (1_000.0, 0.5), (2_000.0, 1.0), (5_000.0, 2.0), (float("inf"), 5.0),
    ),
}  # fmt: skip
CURRENCIES = {"US": "USD", "HK": "HKD"}
_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Instrument:
    """One entry of the watchlist.

    Args:
        symbol: as in AAPL.US.
        start_price: price at which the simulated market begins, in `currency`.
        lot_size: shares in a lot; simulated volumes are whole lots.
        currency: ISO 4217 code of its prices.
    """

    symbol: str
    start_price: float
    lot_size: int = 1
    currency: str = "USD"

    @property
    def market(self) -> str:
        """US or HK."""
        return market_of(self.symbol)


def market_of(symbol: str) -> str:
    """The market of an instrument: what follows the last point of its symbol."""
    return symbol.rpartition(".")[2]


def tick_size(market: str, price: float) -> float:
    """The step in which prices move at this price."""
    return next(tick for below, tick in _TICKS[market] if price < below)


def on_tick(market: str, price: float) -> float:
    """The price that can be traded nearest to this one; at least one tick."""
    tick = tick_size(market, price)
    return round(max(1, round(price / tick)) * tick, _DECIMALS)
