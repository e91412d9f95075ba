"""Forks processes that write to a bar store or tidy it, to be killed by the test.

Says `ready` when all is imported. Then reads an order a line, as JSON, and answers a line: the
process id at once, or, to an order with `die_at`, `killed` or `done` when the child has ended.
"""

import json
import os
import random
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from streamdesk.contracts.events import BarClosed
from streamdesk.market.store import BarStore

START = datetime(2026, 11, 18, 15, 0, tzinfo=UTC)
DAYS = 3
MINUTES = 40


def bar(symbol: str, day: int, minute: int, version: int) -> BarClosed:
    """A bar whose volume says which writing of it this is, and whose prices follow from that."""
    price = float(100 + day + version % 7)
    return BarClosed(
        symbol=symbol,
        timestamp=START + timedelta(days=day, minutes=minute),
        interval_seconds=60,
        open=price,
        high=price + 1,
        low=price - 1,
        close=price,
        volume=version,
    )


def write(order: dict[str, Any], store: BarStore) -> None:
    """Write bars again and again; note what is about to be written, and then that it is."""
    dice = random.Random(order["seed"])
    days = order.get("days", DAYS)
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for version in range(order["first"], order["first"] + order.get("times", 1_000_000)):
        keys = {
            (
                f"{order['name']}{dice.randrange(5)}.US",
                dice.randrange(days),
                dice.randrange(MINUTES),
            )
            for _ in range(dice.randrange(1, 30))
        }
        note = json.dumps([version, sorted(keys)])
        os.write(log, f"tries {note}\n".encode())
        store.write([bar(*key, version) for key in sorted(keys)])
        os.write(log, f"wrote {version}\n".encode())


def tidy(order: dict[str, Any], store: BarStore) -> None:
    """Merge again and again."""
    for _ in range(order.get("times", 1_000_000)):
        store.compact()


def child(order: dict[str, Any]) -> None:
    """What a fork does."""
    store = BarStore(Path(order["folder"]))
    if order.get("die_at"):
        _die_at(order["die_at"], str(order["folder"]))
    {"write": write, "tidy": tidy}[order["role"]](order, store)


def _die_at(number: int, folder: str) -> None:
    """Kill this process right before it touches the store's files for the so-many-th time."""
    left = number

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event == "fcntl.flock" or (arguments and str(arguments[0]).startswith(folder)):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def fork(order: dict[str, Any]) -> int:
    """Start a child."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            child(order)
            code = 0
        finally:
            os._exit(code)
    return pid


def serve() -> None:
    """Execute orders until standard input ends."""
    _answer("ready")
    for line in sys.stdin:
        order = json.loads(line)
        if "bury" in order:
            os.waitpid(order["bury"], 0)
            _answer("buried")
            continue
        pid = fork(order)
        if not order.get("die_at"):
            _answer(str(pid))
            continue
        _, status = os.waitpid(pid, 0)
        _answer(
            {-signal.SIGKILL: "killed", 0: "done"}.get(os.waitstatus_to_exitcode(status), "failed")
        )


def _answer(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
