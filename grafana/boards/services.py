"""What holds for every process: up, ready, load and delays."""

from grafana.parts import Board, Panel, Query, Row

SERVICES = Board(
    uid="streamdesk-services",
    title="Services",
    about="Rate, errors and duration of each service, and its processes.",
    jobs="streamdesk-.*",
    rows=[
        Row(
            "Messages and requests",
            [
                Panel(
                    "Handled messages",
                    "Messages handled a second.",
                    "ops",
                    [
                        Query(
                            "sum by (job) (rate(streams_messages_consumed_total{$SEL}"
                            "[$__rate_interval]))",
                            "{{job}}",
                        )
                    ],
                ),
                Panel(
                    "Failed messages",
                    "Share of the messages that were retried or given up.",
                    "percentunit",
                    [
                        Query(
                            "1 - sum by (job) (rate(streams_messages_consumed_total"
                            '{$SEL, outcome="ack"}[$__rate_interval])) / (sum by (job) '
                            "(rate(streams_messages_consumed_total{$SEL}[$__rate_interval])) > 0)",
                            "{{job}}",
                        )
                    ],
                ),
                Panel(
                    "Time in the handler",
                    "99th percentile.",
                    "s",
                    [
                        Query(
                            "histogram_quantile(0.99, sum by (job, le) (rate("
                            "streams_processing_duration_seconds_bucket{$SEL}[$__rate_interval])))",
                            "{{job}}",
                        )
                    ],
                ),
                Panel(
                    "Analysis requests",
                    "By route and status.",
                    "reqps",
                    [
                        Query(
                            "sum by (route, status) (rate(analysis_requests_total{$SEL}"
                            "[$__rate_interval]))",
                            "{{route}} {{status}}",
                        )
                    ],
                ),
                Panel(
                    "Analysis response time",
                    "99th percentile.",
                    "s",
                    [
                        Query(
                            "histogram_quantile(0.99, sum by (route, le) (rate("
                            "analysis_request_duration_seconds_bucket{$SEL}[$__rate_interval])))",
                            "{{route}}",
                        )
                    ],
                ),
                Panel(
                    "Schedules",
                    "Slots fired by outcome, and slots missed.",
                    "short",
                    [
                        Query(
                            "sum by (name, outcome) (increase(scheduler_fires_total{$SEL}"
                            "[$__rate_interval]))",
                            "{{name}} {{outcome}}",
                        ),
                        Query(
                            "sum by (name) (increase(scheduler_missed_slots_total{$SEL}"
                            "[$__rate_interval]))",
                            "{{name}} missed",
                        ),
                    ],
                ),
            ],
        ),
        Row(
            "Processes",
            [
                Panel(
                    "Up",
                    "Processes that answer scrapes.",
                    "short",
                    [Query("sum by (job) (up{$SEL})", "{{job}}")],
                ),
                Panel(
                    "Ready",
                    "Processes that report themselves as ready.",
                    "short",
                    [Query("sum by (job) (streamdesk_ready{$SEL})", "{{job}}")],
                ),
                Panel(
                    "CPU",
                    "CPU seconds a second.",
                    "short",
                    [
                        Query(
                            "sum by (job) (rate(process_cpu_seconds_total{$SEL}"
                            "[$__rate_interval]))",
                            "{{job}}",
                        )
                    ],
                ),
                Panel(
                    "Memory",
                    "Resident memory of the largest process.",
                    "bytes",
                    [Query("max by (job) (process_resident_memory_bytes{$SEL})", "{{job}}")],
                ),
                Panel(
                    "Event loop",
                    "How late the event loop wakes up; the whole process is late by that.",
                    "s",
                    [Query("max by (job) (streamdesk_event_loop_lag_seconds{$SEL})", "{{job}}")],
                    bad_above=1,
                ),
                Panel(
                    "Restarts",
                    "Process starts.",
                    "short",
                    [
                        Query(
                            "sum by (job) (changes(process_start_time_seconds{$SEL}"
                            "[$__rate_interval]))",
                            "{{job}}",
                        )
                    ],
                ),
            ],
        ),
    ],
)
