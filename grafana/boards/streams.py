"""Redis Streams: lag, pending entries, throughput and consumers."""

from grafana.parts import Board, Panel, Query, Row

STREAMS = Board(
    uid="streamdesk-streams",
    title="Redis Streams",
    about="Length, lag, pending entries, throughput and consumers of each group.",
    jobs="streamdesk-.*",
    rows=[
        Row(
            "Backlog",
            [
                Panel(
                    "Lag by group",
                    "Entries not yet delivered to a group. Each consuming process exposes the "
                    "figures of its groups; the panel shows the maximum.",
                    "short",
                    [Query("max by (topic, group) (streams_lag{$SEL})", "{{topic}} {{group}}")],
                    bad_above=1000,
                ),
                Panel(
                    "Pending by group",
                    "Entries delivered and not acknowledged, summed over a topic's classes.",
                    "short",
                    [
                        Query(
                            "sum by (group) (max by (stream, group) "
                            "(redis_pending_messages{$SEL}))",
                            "{{group}}",
                        )
                    ],
                    bad_above=100,
                ),
                Panel(
                    "Oldest pending entry",
                    "Time since it was published. It grows while it is retried or a handler hangs.",
                    "s",
                    [
                        Query(
                            "max by (topic, group) (streams_oldest_pending_seconds{$SEL})",
                            "{{topic}} {{group}}",
                        )
                    ],
                    bad_above=300,
                ),
                Panel(
                    "Delayed messages",
                    "Messages that wait for a retry or a delay.",
                    "short",
                    [Query("max by (topic, group) (streams_delayed{$SEL})", "{{topic}} {{group}}")],
                ),
                Panel(
                    "Length by stream",
                    "Entries in the stream. A topic with classes has one stream for each class.",
                    "short",
                    [Query("max by (stream) (redis_stream_length{$SEL})", "{{stream}}")],
                    bad_above=50000,
                ),
                Panel(
                    "Live consumers",
                    "0: no consumer takes the topic's messages.",
                    "short",
                    [
                        Query(
                            "max by (topic, group) (streams_active_consumers{$SEL})",
                            "{{topic}} {{group}}",
                        )
                    ],
                ),
            ],
        ),
        Row(
            "Throughput",
            [
                Panel(
                    "Published",
                    "Events published a second.",
                    "ops",
                    [
                        Query(
                            "sum by (topic) (rate(streams_messages_published_total{$SEL}"
                            "[$__rate_interval]))",
                            "{{topic}}",
                        )
                    ],
                    width=6,
                ),
                Panel(
                    "Consumed by outcome",
                    "Acknowledged, retried, or given up.",
                    "ops",
                    [
                        Query(
                            "sum by (topic, outcome) (rate(streams_messages_consumed_total{$SEL}"
                            "[$__rate_interval]))",
                            "{{topic}} {{outcome}}",
                        )
                    ],
                    width=6,
                ),
                Panel(
                    "From publish to acknowledgement",
                    "99th percentile.",
                    "s",
                    [
                        Query(
                            "histogram_quantile(0.99, sum by (topic, group, le) (rate("
                            "event_processing_latency_bucket{$SEL}[$__rate_interval])))",
                            "{{topic}} {{group}}",
                        )
                    ],
                    width=6,
                ),
                Panel(
                    "Time in the handler",
                    "99th percentile.",
                    "s",
                    [
                        Query(
                            "histogram_quantile(0.99, sum by (topic, group, le) (rate("
                            "streams_processing_duration_seconds_bucket{$SEL}[$__rate_interval])))",
                            "{{topic}} {{group}}",
                        )
                    ],
                    width=6,
                ),
            ],
        ),
        Row(
            "Errors",
            [
                Panel(
                    "Dead letters",
                    "Messages that were given up, and not yet redriven or purged.",
                    "short",
                    [Query("max by (topic) (streams_dead_letters_waiting{$SEL})", "{{topic}}")],
                    bad_above=1,
                ),
                Panel(
                    "Retries",
                    "Messages that are delivered again after a failure.",
                    "ops",
                    [
                        Query(
                            "sum by (topic, group) (rate(streams_retries_total{$SEL}"
                            "[$__rate_interval]))",
                            "{{topic}} {{group}}",
                        )
                    ],
                ),
                Panel(
                    "Publishes refused",
                    "The queue, the stream or the server's memory is full.",
                    "short",
                    [
                        Query(
                            "sum by (topic) (increase(streams_publishes_refused_total{$SEL}"
                            "[$__rate_interval]))",
                            "{{topic}}",
                        )
                    ],
                    bad_above=1,
                ),
                Panel(
                    "Connection to Redis",
                    "1 while Redis answers the service.",
                    "short",
                    [Query("min by (job) (streams_connected{$SEL})", "{{job}}")],
                    bad_below=1,
                ),
                Panel(
                    "Open circuit breakers",
                    "Consumers that are paused because most of their messages failed.",
                    "short",
                    [
                        Query(
                            "max by (topic, group) (streams_breaker_open{$SEL})",
                            "{{topic}} {{group}}",
                        )
                    ],
                    bad_above=1,
                ),
                Panel(
                    "Redis outages",
                    "Seconds without Redis, counted when an outage ends.",
                    "s",
                    [
                        Query(
                            "max by (job) (increase(streams_outage_seconds_total{$SEL}"
                            "[$__rate_interval]))",
                            "{{job}}",
                        )
                    ],
                ),
            ],
        ),
    ],
)
