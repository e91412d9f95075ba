"""Redis and its Sentinels, by redis_exporter and by the operator's watchdog."""

from grafana.parts import Board, Panel, Query, Row

SENTINEL = Board(
    uid="streamdesk-sentinel",
    title="Redis Sentinel",
    about="Who is the master, who agrees, and what the servers need.",
    jobs="streamdesk-(redis|operator).*",
    rows=[
        Row(
            "The master",
            [
                Panel(
                    "Masters",
                    "Servers that say that they are the master, asked one by one. Other than 1: "
                    "a fault.",
                    "short",
                    [Query("max by (service) (streamdesk_redis_masters{$SEL})", "{{service}}")],
                    kind="number",
                    width=6,
                    bad_above=2,
                ),
                Panel(
                    "The Sentinels agree",
                    "1 while all that answer name the one master.",
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
                    "1 while enough Sentinels see each other to choose another master.",
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
                    "Masters in the range",
                    "Servers that the Sentinels named. More than one: Redis failed over.",
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
                    "Sentinels and replicas that answer",
                    "As the Sentinels count them.",
                    "short",
                    [
                        Query("min(redis_sentinel_master_ok_sentinels{$SEL})", "Sentinels"),
                        Query("min(redis_sentinel_master_ok_slaves{$SEL})", "replicas"),
                    ],
                    width=12,
                ),
                Panel(
                    "Sentinels by the master that they name",
                    "One line for each address. Two at a time: they do not agree.",
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
                    "Used, as a share of maxmemory. At 100 % every publish is refused.",
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
                    "Connections open.",
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
                    "1 while the last write and the last rewrite went well.",
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
                    "What readers and replicas take.",
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
