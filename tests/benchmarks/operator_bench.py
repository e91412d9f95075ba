"""Our scaling rule, an HPA's and KEDA's on the same arrivals, simulated: `make bench-operator`.

No clock and no cluster: the figures are the same on every machine. What is assumed of pods,
servers and autoscalers is said in `operator_world`, `operator_scalers` and `operator_traces`; the
seeds are not those the rule was chosen with. A row is a mean over the seeds; of flaps and wrong
scale-downs, the worst.

- `backlog_ratio`: the seconds that entries waited, summed, over the better of the two peers'; the
  worst of the traces of bursts, with the target of `TARGET_SECONDS`.
- `replica_ratio`: replica-seconds asked for, over the better of the two; likewise.
- `flaps`: changes of direction within 300 s, the worst of all traces.
- `wrong_scale_downs`: to fewer replicas than can do in time what really waits, or to none with
  anything left; all traces.

The second table gives all three other targets. The last line is one JSON object.
"""

import json
import sys
from collections.abc import Iterator, Mapping

from tests.benchmarks.operator_runs import PEERS, SCALERS, Result, over_seeds
from tests.benchmarks.operator_traces import TRACES, Trace

TARGET_SECONDS = 30.0
OTHER_TARGETS = (5.0, 15.0, 60.0)
BOUNDS = {"backlog_ratio": 0.8, "replica_ratio": 1.0, "flaps": 2.0, "wrong_scale_downs": 0.0}

Rows = dict[str, Result]


def say(*lines: str) -> None:
    """Print."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def rows_of(trace: Trace, target_seconds: float) -> Rows:
    """Every autoscaler on one trace."""
    return {name: over_seeds(make, trace, target_seconds) for name, make in SCALERS.items()}


def ratios(rows: Rows) -> tuple[float, float]:
    """Backlog and replicas of ours over the better of the peers, each by itself."""
    mine, peers = rows["ours"], [rows[name] for name in PEERS]
    return (
        mine.backlog_seconds / min(peer.backlog_seconds for peer in peers),
        mine.replica_seconds / min(peer.replica_seconds for peer in peers),
    )


def table(trace: Trace, rows: Rows) -> Iterator[str]:
    """A line for each autoscaler."""
    yield f"{trace.name}: {trace.about}"
    yield (
        f"  {'':<17}{'waited, entry-s':>16}{'replica-s':>11}{'most':>6}{'flaps':>7}"
        f"{'wrong downs':>13}{'left undone':>13}"
    )
    for name, row in rows.items():
        yield (
            f"  {name:<17}{row.backlog_seconds:>16,.0f}{row.replica_seconds:>11,.0f}"
            f"{row.largest:>6.0f}{row.flaps:>7.0f}{row.wrong_scale_downs:>13.0f}{row.undone:>13,.0f}"
        )
    if trace.is_burst:
        backlog, replicas = ratios(rows)
        yield f"  ours over the better peer: backlog {backlog:.2f}, replicas {replicas:.2f}"


def worst_ratios(target_seconds: float) -> tuple[float, float]:
    """The ratios of the worst trace of bursts with another target."""
    found = [ratios(rows_of(trace, target_seconds)) for trace in TRACES if trace.is_burst]
    return max(backlog for backlog, _ in found), max(replicas for _, replicas in found)


def figures(results: Mapping[str, Rows]) -> dict[str, float]:
    """The figures that count, and the peers' beside them."""
    burst = [ratios(results[trace.name]) for trace in TRACES if trace.is_burst]
    found = {
        "backlog_ratio": max(backlog for backlog, _ in burst),
        "replica_ratio": max(replicas for _, replicas in burst),
    }
    for prefix, names in (
        ("", ("ours", "ours by backlog")),
        ("hpa_", ("hpa",)),
        ("keda_", ("keda",)),
    ):
        mine = [rows[name] for rows in results.values() for name in names]
        found[f"{prefix}flaps"] = max(row.flaps for row in mine)
        found[f"{prefix}wrong_scale_downs"] = sum(row.wrong_scale_downs for row in mine)
    return found


def main() -> None:
    """Run all, print a table for each trace, and one JSON object last."""
    results: dict[str, Rows] = {}
    for trace in TRACES:
        results[trace.name] = rows_of(trace, TARGET_SECONDS)
        say(*table(trace, results[trace.name]), "")
    found = figures(results)
    say(f"{'target':<10}{'worst backlog ratio':>21}{'worst replica ratio':>21}")
    say(f"{TARGET_SECONDS:<10.0f}{found['backlog_ratio']:>21.2f}{found['replica_ratio']:>21.2f}")
    for target in OTHER_TARGETS:
        backlog, replicas = worst_ratios(target)
        say(f"{target:<10.0f}{backlog:>21.2f}{replicas:>21.2f}")
        found |= {
            f"backlog_ratio_{target:.0f}s": backlog,
            f"replica_ratio_{target:.0f}s": replicas,
        }
    say("")
    for name, bound in BOUNDS.items():
        verdict = "met" if found[name] <= bound else "MISSED"
        say(f"{name:<20}{found[name]:>8.2f}   wanted <= {bound:g}  {verdict}")
    say("", json.dumps({name: round(value, 3) for name, value in found.items()}))


if __name__ == "__main__":
    main()
