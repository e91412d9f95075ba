"""The operator: how many executors, and why."""

from grafana.parts import Board, Panel, Query, Row

OPERATOR = Board(
    uid="streamdesk-operator",
    title="Operator",
    about="Desired and actual executors, what waits for them, and each decision.",
    jobs="streamdesk-operator",
    rows=[
        Row(
            "Pools",
            [
                Panel(
                    "Replicas",
                    "Desired, asked of the workload, and ready.",
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
                    "Entries that nobody was given yet, and those in hand. A gap: not known.",
                    "short",
                    [
                        Query("max by (pool) (executorpool_unread{$SEL})", "{{pool}} unread"),
                        Query("max by (pool) (executorpool_pending{$SEL})", "{{pool}} in hand"),
                    ],
                    width=12,
                ),
                Panel(
                    "Oldest entry in hand",
                    "Since it was published.",
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
                    "What the operator found at each look.",
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
                    "Pools that are ready",
                    "1 while the condition Ready is true.",
                    "short",
                    [Query("min by (pool) (executorpool_ready{$SEL})", "{{pool}}")],
                    kind="number",
                    bad_below=1,
                ),
                Panel(
                    "Lease",
                    "Exactly one operator acts.",
                    "short",
                    [Query("sum(operator_lease_held{$SEL})")],
                    kind="number",
                    bad_below=1,
                ),
                Panel(
                    "Since the last round that worked",
                    "More than a minute: the executors keep the number they have.",
                    "s",
                    [Query("min(operator_tick_age_seconds{$SEL})")],
                    kind="number",
                    bad_above=60,
                ),
                Panel(
                    "Rounds by result",
                    "Looks at all pools.",
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
