"""The operator: how many executors, and why."""

from grafana.parts import Board, Panel, Query, Row

OPERATOR = Board(
    uid="streamdesk-operator",
    title="Operator",
    about="Desired and actual executors, their backlog, and each decision.",
    jobs="streamdesk-operator",
    rows=[
        Row(
            "Pools",
            [
                Panel(
                    "Replicas",
                    "Desired, requested of the workload, and ready.",
                    "short",
                    [
                        Query(
                            "max by (pool) (executorpool_desired_replicas{$SEL})",
                            "{{pool}} desired",
                        ),
                        Query("max by (pool) (executorpool_replicas{$SEL})", "{{pool}} asked for"),
                        Query(
                            "max by (pool) (executorpool_ready_replicas{$SEL})", "{{pool}} ready"
                        ),
                    ],
                    width=12,
                ),
                Panel(
                    "Backlog",
                    "Unread and pending entries. A gap: the lag is unknown.",
                    "short",
                    [
                        Query("max by (pool) (executorpool_unread{$SEL})", "{{pool}} unread"),
                        Query("max by (pool) (executorpool_pending{$SEL})", "{{pool}} pending"),
                    ],
                    width=12,
                ),
                Panel(
                    "Oldest pending entry",
                    "Time since it was published.",
                    "s",
                    [
                        Query(
                            "max by (pool) (executorpool_oldest_pending_seconds{$SEL})", "{{pool}}"
                        )
                    ],
                    width=12,
                ),
                Panel(
                    "Decisions by reason",
                    "Reason of the decision in each round.",
                    "short",
                    [
                        Query(
                            "sum by (pool, reason) (increase(executorpool_decisions_total{$SEL}"
                            "[$__rate_interval]))",
                            "{{pool}} {{reason}}",
                        )
                    ],
                    width=12,
                    stacked=True,
                ),
            ],
        ),
        Row(
            "The operator itself",
            [
                Panel(
                    "Ready pools",
                    "1 while a pool's Ready condition is true.",
                    "short",
                    [Query("min by (pool) (executorpool_ready{$SEL})", "{{pool}}")],
                    kind="number",
                    bad_below=1,
                ),
                Panel(
                    "Lease",
                    "Operators that hold the lease; there must be exactly one.",
                    "short",
                    [Query("sum(operator_lease_held{$SEL})")],
                    kind="number",
                    bad_below=1,
                ),
                Panel(
                    "Since the last successful round",
                    "Above a minute, the number of executors does not change.",
                    "s",
                    [Query("min(operator_tick_age_seconds{$SEL})")],
                    kind="number",
                    bad_above=60,
                ),
                Panel(
                    "Rounds by result",
                    "Rounds over all pools a second.",
                    "ops",
                    [
                        Query(
                            "sum by (result) (rate(operator_ticks_total{$SEL}[$__rate_interval]))",
                            "{{result}}",
                        )
                    ],
                    width=24,
                ),
            ],
        ),
    ],
)
