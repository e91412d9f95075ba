"""The traces that all autoscalers are run on: arrivals and faults.

Every trace is an hour long. Seeds are fixed; a seed shifts the bursts by up to a poll, so that no
autoscaler's period is in step with them, and draws the Poisson arrivals.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.benchmarks.operator_world import Faults

SECONDS = 3600
SEEDS = (101, 202, 303, 404, 505)
EXACT_MEAN = 30
"""Above it, a normal variable is near enough to a Poisson one."""

Mean = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Trace:
    """One load.

    Args:
        name: what it is called.
        about: one line for people.
        mean: entries a second at a second.
        faults: the faults of the trace.
        min_replicas: of autoscalers that can go to zero; the others have at least 1.
        is_burst: whether the ratios are taken from it.
    """

    name: str
    about: str
    mean: Mean
    faults: Faults = field(default_factory=Faults)
    min_replicas: int = 1
    is_burst: bool = False

    def arrivals(self, seed: int) -> list[int]:
        """Entries that arrive in each second."""
        draw = random.Random(f"{self.name} {seed}")
        shift = draw.uniform(0, 30)
        return [_poisson(draw, self.mean(t - shift)) for t in range(SECONDS + 1)]


def _poisson(draw: random.Random, mean: float) -> int:
    if mean <= 0:
        return 0
    if mean > EXACT_MEAN:
        return max(0, round(draw.gauss(mean, math.sqrt(mean))))
    # Knuth: count factors until their product is below e^-mean.
    limit, product, count = math.exp(-mean), draw.random(), 0
    while product > limit:
        product *= draw.random()
        count += 1
    return count


def steady(t: float) -> float:
    """A constant load for five and a half replicas."""
    return 55.0 if t > 0 else 20.0


def sawtooth(t: float) -> float:
    """From 20 to 180 a second within two minutes, and down at once."""
    return 20 + 160 * (t % 120) / 120


def burst(t: float) -> float:
    """Rectangles of 30 s, 2.5 and 5 minutes, 150 a second on top of 20."""
    for start, length in ((400, 150), (1400, 30), (2200, 300)):
        if start <= t < start + length:
            return 150.0
    return 20.0


def flood(t: float) -> float:
    """3,000 and 6,000 entries within five seconds, as after a feed's reconnection."""
    for start, a_second in ((600, 600), (2000, 1200)):
        if start <= t < start + 5:
            return float(a_second)
    return 20.0


def ramp(t: float) -> float:
    """Up to 200 a second over five minutes and down again, twice."""
    for start in (400, 2000):
        if start <= t < start + 600:
            return 20 + 180 * (1 - abs(t - start - 300) / 300)
    return 20.0


def then_silence(t: float) -> float:
    """50 a second for ten minutes, then nothing."""
    return 50.0 if t < 600 else 0.0


def quiet_then_steady(t: float) -> float:
    """Nothing for five minutes, then 50 a second."""
    return 0.0 if t < 300 else 50.0


TRACES = (
    Trace("steady", "55 a second", steady),
    Trace("sawtooth", "20 to 180 a second every two minutes", sawtooth),
    Trace("burst", "150 a second for 30, 150 and 300 s", burst, is_burst=True),
    Trace("flood", "3,000 and 6,000 entries at once", flood, is_burst=True),
    Trace("ramp", "up to 200 a second within five minutes, twice", ramp, is_burst=True),
    Trace(
        "silence",
        "nothing after ten minutes, a dead pod's entries leased for ten more",
        then_silence,
        Faults(dies_at=570, lease_seconds=900),
        min_replicas=0,
    ),
    Trace(
        "trimmed",
        "a lag 2,000 too high after a trim",
        burst,
        Faults(trimmed_from=900, overshoot=2000),
    ),
    Trace("nil lag", "no lag for 20 minutes", burst, Faults(nil_lag=(1000, 2200)), min_replicas=0),
    Trace(
        "no group",
        "no group before the first consumer",
        quiet_then_steady,
        Faults(no_group=True),
        min_replicas=0,
    ),
    Trace("redis gone", "no server for five minutes", steady, Faults(gone=(1200, 1500))),
)
