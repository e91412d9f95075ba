from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

Column = NDArray[np.float64]


@dataclass(frozen=True)
class Bars:
    high: Column
    low: Column
    close: Column
    volume: Column


@pytest.fixture
def random_bars() -> Callable[[int, int], Bars]:
    """Bars of a random walk, from a seed and a number of bars."""

    def make(seed: int, count: int) -> Bars:
        rng = np.random.default_rng(seed)
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
        reach = np.abs(rng.normal(0, 0.005, (2, count)))
        return Bars(
            high=close * (1 + reach[0]),
            low=close * (1 - reach[1]),
            close=close,
            volume=rng.integers(0, 1_000_000, count).astype(np.float64),
        )

    return make
