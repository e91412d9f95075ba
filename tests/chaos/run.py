"""Break the bus at random for a while, and check its guarantees: `make chaos`.

The bus part: consumers are processes, publishers remember what was acknowledged, faults come one
after the other or two at once. The desk part: executors trade on a ledger, SQLite or PostgreSQL by
the seed, while they, the queue, the ledger and the broker fail. The last line counts what was
found; the exit code is 1 when a guarantee was violated.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from streamdesk.console.adapters.redis_server import find_server
from tests.chaos.arena import LONG, Arena, Pace, open_arena
from tests.chaos.faults import FAULTS, Fault, strike
from tests.chaos.model import check_model
from tests.chaos.trading_round import run_trading
from tests.servers import StreamServer

CONSUMERS = 3
TWO_AT_A_TIME = 0.3
LONGEST_CALM_SECONDS = 2.0
MODEL_EXAMPLES = 200


class Round:
    """Faults until the time is over."""

    def __init__(self, arena: Arena, seed: int) -> None:
        self._arena = arena
        self._chance = random.Random(seed)
        self.struck: Counter[str] = Counter()
        self.taken = 0
        self.hung = False

    async def run(self, seconds: float) -> None:
        """Run one round; reports when something hangs."""
        try:
            await self._publish_and_strike(time.monotonic() + seconds)
        except* (TimeoutError, AssertionError) as group:
            self.hung = True
            for error in group.exceptions:
                say(f"it hangs: {error or 'something that should happen does not'}")

    async def _publish_and_strike(self, until: float) -> None:
        async with self._arena.desk.publishing():
            await self._arena.desk.traffic()
            while time.monotonic() < until:
                await self._strike(self._some_faults())
                await asyncio.sleep(self._chance.uniform(0, LONGEST_CALM_SECONDS))
                await self._arena.desk.traffic()

    def _some_faults(self) -> list[Fault]:
        first = self._chance.choice(FAULTS)
        others = [fault for fault in FAULTS if fault.where != first.where]
        both = self._chance.random() < TWO_AT_A_TIME
        return [first, self._chance.choice(others)] if both else [first]

    async def _strike(self, faults: list[Fault]) -> None:
        began = time.monotonic()
        taken = await asyncio.gather(*(strike(self._arena, fault) for fault in faults))
        self.taken += sum(taken)
        self.struck.update(fault.name for fault in faults)
        books = self._arena.desk.books
        names = " and ".join(fault.name for fault in faults)
        say(
            f"{names}, {time.monotonic() - began:.1f} s; "
            f"acked so far {len(books.acked)}, not handled yet {len(books.unhandled())}"
        )


def say(text: str) -> None:
    """Progress, for a person."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - the report


async def round_of(options: argparse.Namespace, pace: Pace) -> bool:
    """One round; prints its counts and returns whether every guarantee held."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        binary = shutil.which(options.server) if options.server else str(find_server(folder))
        if binary is None:
            say(f"no {options.server} on the PATH: install it, or leave --server out")
            return False
        chance = random.Random(options.seed)
        async with open_arena(
            binary, folder, pace=pace, consumers=CONSUMERS, chance=chance
        ) as arena:
            chaos = Round(arena, options.seed)
            await chaos.run(options.minutes * 60)
            verdict = await arena.desk.verdict()
    faults = ", ".join(f"{name} {count}" for name, count in sorted(chaos.struck.items()))
    counts, *findings = str(verdict).splitlines()
    for finding in findings:
        say(finding)
    print(f"{counts} taken={chaos.taken} faults={chaos.struck.total()} ({faults})")  # noqa: T201 - the result
    return verdict.is_good and not chaos.hung


def check_histories(examples: int) -> None:
    """Compare the bus with its model."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = StreamServer(str(find_server(folder)), folder)
        try:
            check_model(server, examples)
        finally:
            server.stop()
    say(f"bus and model agree in {examples} histories")


def main() -> int:
    """A random round, then the model with many examples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15, help="how long things break (15)")
    parser.add_argument("--seed", type=int, default=None, help="repeats a choice of faults")
    parser.add_argument("--server", help="a server program on the PATH instead of Valkey")
    parser.add_argument(
        "--part", choices=("both", "bus", "desk"), default="both", help="what breaks (both)"
    )
    parser.add_argument("--examples", type=int, default=MODEL_EXAMPLES, help="of the model (200)")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.randrange(1_000_000)
    say(f"seed {options.seed}, {options.minutes:g} minutes")
    kept = True
    if options.part != "desk":
        kept = asyncio.run(round_of(options, LONG))
        if options.examples:
            check_histories(options.examples)
    if options.part != "bus":
        kept = run_trading(options.minutes * 60, options.seed, options.server) and kept
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
