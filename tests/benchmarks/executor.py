"""Time the order-executor: `make bench-executor`.

A decision is a transaction of the ledger on SQLite; it counts as CPU time, the database's thread
included. Throughput is of one, three and eight executors as processes, each with one order in
flight, on one ledger, one queue and a broker whose answer takes 50 ms; `order_cpu_ms` is what an
order costs the executors, so the cores divided by it bound the throughput. The audit recomputes
100,000 orders with 250,000 fills: CPU seconds of the ledger's part, and of that with the comparison
with the broker's records. The last line is one JSON object.
"""

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from streamdesk.order_executor.adapters.broker_records import BrokerRecords
from streamdesk.order_executor.adapters.ledger.audit import BookAudit
from streamdesk.order_executor.factory import OrderExecutor
from streamdesk.trading.decisions import request_from
from tests.benchmarks.executor_books import write_books
from tests.benchmarks.executor_runs import settings_of, signals, throughput
from tests.benchmarks.figures import Wanted, our_lines, rounded
from tests.benchmarks.server import bench_server
from tests.servers import StreamServer

LATENCY_SECONDS = 0.05
EXECUTORS = 1, 3, 8
WANTED = {
    "ratio_3": Wanted(">=", 2.8),
    "ratio_8": Wanted(">=", 7),
    "doubled": Wanted("=", 0),
    "audit_100k_s": Wanted("<=", 3),
    "audit_mb": Wanted("<=", 200),
}


@dataclass(frozen=True, slots=True)
class Size:
    """The sizes of all rounds.

    Args:
        decisions: timed, after a tenth of them that are not.
        orders: of each executor.
        books: orders that the audit reads.
    """

    decisions: int
    orders: int
    books: int = 100_000


QUICK = Size(decisions=200, orders=48)
FULL = Size(decisions=2_000, orders=320)


async def decide_us(folder: Path, decisions: int) -> float:
    """CPU microseconds of one decision; what follows from it is carried out, and not timed."""
    spent, warm_up = 0.0, decisions // 10
    async with OrderExecutor(settings_of(folder, "bench")) as executor:
        await executor.reconciliation.reconcile()
        for number, signal in enumerate(signals(warm_up + decisions)):
            request = request_from(f"signal-{number}", signal, signal.queued_at)
            began = time.process_time()
            decision = await executor.ledger.decide(request)
            spent += time.process_time() - began if number >= warm_up else 0
            assert decision.order is not None, decision
            await executor.execution.carry_out(decision.order, is_new=True)
    return spent / decisions * 1e6


async def audit_figures(folder: Path, orders: int) -> dict[str, float]:
    """CPU seconds of audits of everything, and milliseconds of the one after."""

    async def check(executor: OrderExecutor, broker: BrokerRecords | None) -> tuple[float, float]:
        audit, times = BookAudit(executor.ledger, broker), list[float]()
        for _ in range(2):
            began = time.process_time()
            checked = await audit.check()
            times.append(time.process_time() - began)
            assert checked.findings == [], checked.findings[:3]
        return times[0], times[1]

    async with OrderExecutor(settings_of(folder, "bench")) as executor:
        await asyncio.to_thread(write_books, folder / "ledger.db", folder / "paper.db", orders)
        whole, _ = await check(executor, None)
        compared, after = await check(executor, executor.broker)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return {
        "audit_100k_s": whole,
        "audit_compared_100k_s": compared,
        "audit_again_ms": after * 1000,
        "audit_mb": used,
    }


def measured(server: StreamServer, size: Size) -> dict[str, float]:
    """Every figure."""
    figures: dict[str, float] = {"doubled": 0}
    with tempfile.TemporaryDirectory() as name:
        figures["decide_us"] = asyncio.run(decide_us(Path(name), size.decisions))
    for executors in EXECUTORS:
        with tempfile.TemporaryDirectory() as name:
            run = throughput(
                server, Path(name), executors, executors * size.orders, LATENCY_SECONDS
            )
        figures[f"throughput_{executors}"] = run.per_second
        figures[f"order_cpu_ms_{executors}"] = run.cpu_ms
        figures["doubled"] += run.doubled
    for executors in EXECUTORS[1:]:
        rates = figures[f"throughput_{executors}"], figures["throughput_1"]
        figures[f"ratio_{executors}"] = rates[0] / rates[1]
    with tempfile.TemporaryDirectory() as name:
        figures |= asyncio.run(audit_figures(Path(name), size.books))
    return figures


def main() -> None:
    """Measure, print the table, and one JSON object last."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="within 50 s")
    options = parser.parse_args()
    with bench_server() as server:
        figures = measured(server, QUICK if options.quick else FULL)
    for line in our_lines(figures, WANTED):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(json.dumps(rounded(figures)) + "\n")


if __name__ == "__main__":
    main()
