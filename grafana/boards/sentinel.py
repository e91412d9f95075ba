"""Redis and its Sentinels, as seen by redis_exporter and the operator's watchdog."""

from grafana.parts import Board, Panel, Query, Row

SENTINEL = Board(
    uid="streamdesk-sentinel",
    title="Redis Sentinel",
    about="The master, the Sentinels' agreement, and the load of the servers.",
    jobs="streamdesk-(redis|operator).*",
    rows=[
        Row(
            "The master",
            [
                Panel(
                    "Masters",
                    "Servers that report themselves as master. Anything but 1 is a fault.",
                    "short",
                    [Query("max by (service) (streamdesk_redis_masters{$SEL})", "{{service}}")],
                    kind="number",
                    width=6,
                    bad_above=2,
                ),
                Panel(
                    "The Sentinels agree",
                    "1 while all Sentinels that answer name the same master.",
                    "short",
                    [
                        Query(
                            "min by (service) (streamdesk_redis_master_agrees{$SEL})", "{{service}}"
                        )
                    ],
                    kind="number",
                    width=6,
                    bad_below=1,
                ),
                Panel(
                    "Quorum",
                    "1 while enough Sentinels reach each other to promote another master.",
                    "short",
                    [
                        Query(
                            "min by (master_name) (redis_sentinel_master_ckquorum_status{$SEL})",
                            "{{master_name}}",
                        )
                    ],
                    kind="number",
                    width=6,
                    bad_below=1,
                ),
                Panel(
                    "Masters over the time range",
                    "Servers that the Sentinels named as master. More than one: Redis failed over.",
                    "short",
                    [
                        Query(
                            "count(count by (master_address) ("
                            "last_over_time(redis_sentinel_master_status{$SEL}[$__range])))"
                        )
                    ],
                    kind="number",
                    width=6,
                ),
                Panel(
                    "Reachable Sentinels and replicas",
                    "As reported by the Sentinels.",
                    "short",
                    [
                        Query("min(redis_sentinel_master_ok_sentinels{$SEL})", "Sentinels"),
                        Query("min(redis_sentinel_master_ok_slaves{$SEL})", "replicas"),
                    ],
                    width=12,
                ),
                Panel(
                    "Sentinels by named master",
                    "One line for each master address. Two lines at once: the Sentinels disagree.",
                    "short",
                    [
                        Query(
                            "count by (master_address) (redis_sentinel_master_status{$SEL})",
                            "{{master_address}}",
                        )
                    ],
                    width=12,
                ),
            ],
        ),
        Row(
            "The servers",
            [
                Panel(
                    "Memory",
                    "Used share of maxmemory. At 100 % every publish is refused.",
                    "percentunit",
                    [
                        Query(
                            "max by (instance) (redis_memory_used_bytes{$SEL} "
                            "/ (redis_memory_max_bytes{$SEL} > 0))",
                            "{{instance}}",
                        )
                    ],
                    bad_above=0.85,
                ),
                Panel(
                    "Commands",
                    "Commands a second.",
                    "ops",
                    [
                        Query(
                            "sum by (instance) (rate(redis_commands_processed_total{$SEL}"
                            "[$__rate_interval]))",
                            "{{instance}}",
                        )
                    ],
                ),
                Panel(
                    "Clients",
                    "Open connections.",
                    "short",
                    [Query("max by (instance) (redis_connected_clients{$SEL})", "{{instance}}")],
                ),
                Panel(
                    "Replicas of each server",
                    "0 on replicas; the master should have all others.",
                    "short",
                    [Query("max by (instance) (redis_connected_slaves{$SEL})", "{{instance}}")],
                ),
                Panel(
                    "Append-only file",
                    "1 while the last write and the last rewrite succeeded.",
                    "short",
                    [
                        Query(
                            "min by (instance) (redis_aof_last_write_status{$SEL})",
                            "write {{instance}}",
                        ),
                        Query(
                            "min by (instance) (redis_aof_last_bgrewrite_status{$SEL})",
                            "rewrite {{instance}}",
                        ),
                    ],
                    bad_below=1,
                ),
                Panel(
                    "Bytes out",
                    "Bytes sent to clients and replicas.",
                    "Bps",
                    [
                        Query(
                            "sum by (instance) (rate(redis_net_output_bytes_total{$SEL}"
                            "[$__rate_interval]))",
                            "{{instance}}",
                        )
                    ],
                ),
            ],
        ),
    ],
)
