"""The events of the benchmarks, and their topics."""

import gc

from streamdesk.contracts.base import Consumer, Event, Topic

CALL = 500
"""Events of one publish_many or pipeline, ours and the peers': the depth of the pipeline."""

FIRST_NUMBER = 10**9  # so that all are of one length
GROUP = "bench"


class Tick(Event):
    """200 bytes as JSON: a unique number, and the usual types."""

    number: int
    symbol: str = "AAPL.US"
    price: float = 271.75
    note: str = "x" * 135


def ticks(count: int) -> list[Tick]:
    """Events made before timing starts, and hidden from the garbage collector."""
    made = [Tick(number=FIRST_NUMBER + place) for place in range(count)]
    gc.collect()
    gc.freeze()
    return made


def _topic(name: str, *, framed: bool = False) -> Topic[Tick]:
    return Topic(
        name=name,
        key=f"bench:{name}",
        models=(Tick,),
        about="Benchmark traffic.",
        dead_key=f"bench:{name}:dead",
        mode="frame" if framed else "entry",
        consumers=(Consumer("bench", GROUP),),
    )


ENTRIES = _topic("entries")
FRAMES = _topic("frames", framed=True)
