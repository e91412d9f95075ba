"""Redis Streams: who waits for what."""

from grafana.parts import Board, Panel, Query, Row

STREAMS = Board(
    uid="streamdesk-streams",
    title="Redis Streams",
    about="Length, lag, pending entries, throughput and consumers, a group.",
    jobs="streamdesk-.*",
    rows=[
        Row(
            "Backlog",
            [
                Panel(
                    "Lag by group",
                    "Entries that a group was not given yet. Each process that consumes shows its "
                    "groups' figures, so the largest counts.",
                    "short",
                    [Query("max by (topic, group) (streams_lag{$SEL})", "{{topic}} {{group}}")],
                    bad_above=1000,
                ),
                Panel(
                    "Pending by group",
                    "Entries in the hands of a group's consumers, all classes of a topic together.",
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
                    "Oldest entry in hand",
                    "Since it was published. It grows while one is retried or a handler hangs.",
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
                    "Messages that wait for their time",
                    "Retries and delays.",
                    "short",
                    [Query("max by (topic, group) (streams_delayed{$SEL})", "{{topic}} {{group}}")],
                ),
                Panel(
                    "Length by stream",
                    "Entries kept. A topic with classes is one stream a class.",
                    "short",
                    [Query("max by (stream) (redis_stream_length{$SEL})", "{{stream}}")],
                    bad_above=50000,
                ),
                Panel(
                    "Consumers that are alive",
                    "None: nobody takes the topic's messages.",
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
                    "Events written a second.",
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
                    "Acknowledged, put back to be tried again, given up.",
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
                    "99 of 100 messages take at most this.",
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
                    "99 of 100 calls take at most this.",
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
            "Trouble",
            [
                Panel(
                    "Dead letters",
                    "Messages that were given up and that nobody has dealt with.",
                    "short",
                    [Query("max by (topic) (streams_dead_letters_waiting{$SEL})", "{{topic}}")],
                    bad_above=1,
                ),
                Panel(
                    "Retries",
                    "Messages put back to be handled again.",
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
                    "Breakers open",
                    "Consumers that pause because most of their messages die.",
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
                    "Seconds without Redis",
                    "Outages, counted when they are over.",
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
