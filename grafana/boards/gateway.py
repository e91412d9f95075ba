"""The gateway: browsers, and how fresh what they see is."""

from grafana.parts import Board, Panel, Query, Row

GATEWAY = Board(
    uid="streamdesk-gateway",
    title="Gateway",
    about="Sockets, delivery lag, drops and close codes.",
    jobs="streamdesk-websocket-gateway",
    rows=[
        Row(
            "Sockets",
            [
                Panel(
                    "Open now",
                    "Sockets of all gateways.",
                    "short",
                    [Query("sum(gw_connections{$SEL})")],
                    kind="number",
                    width=8,
                ),
                Panel(
                    "Bus",
                    "1 while every gateway's bus answers.",
                    "short",
                    [Query("min(gw_redis_up{$SEL})")],
                    kind="number",
                    width=8,
                    bad_below=1,
                ),
                Panel(
                    "Left out",
                    "Events a second that slow readers get newer ones for.",
                    "ops",
                    [Query("sum(rate(gw_dropped_total{$SEL}[$__rate_interval]))")],
                    kind="number",
                    width=8,
                    bad_above=10,
                ),
                Panel(
                    "Sockets by gateway",
                    "How evenly they are spread.",
                    "short",
                    [Query("sum by (instance) (gw_connections{$SEL})", "{{instance}}")],
                    stacked=True,
                ),
                Panel(
                    "Ended, by close code",
                    "4xxx are ours and say why; peer: the client left.",
                    "short",
                    [
                        Query(
                            "sum by (code) (increase(gw_disconnect_total{$SEL}[$__rate_interval]))",
                            "{{code}}",
                        )
                    ],
                    stacked=True,
                ),
                Panel(
                    "Messages sent",
                    "Texts written to sockets a second.",
                    "ops",
                    [
                        Query(
                            "sum by (instance) (rate(gw_messages_sent_total{$SEL}"
                            "[$__rate_interval]))",
                            "{{instance}}",
                        )
                    ],
                ),
            ],
        ),
        Row(
            "Delivery",
            [
                Panel(
                    "Delivery lag",
                    "From an event's publication to its routing; above a second for five minutes: "
                    "an alert.",
                    "s",
                    [
                        Query(
                            f"histogram_quantile({share}, sum by (le) (rate("
                            "gw_delivery_lag_seconds_bucket{$SEL}[$__rate_interval])))",
                            f"p{share * 100:.0f}",
                        )
                        for share in (0.5, 0.99)
                    ],
                    width=12,
                    bad_above=1,
                ),
                Panel(
                    "Events by type",
                    "Events of the bus routed to channels.",
                    "ops",
                    [
                        Query(
                            "sum by (event) (rate(gw_events_total{$SEL}[$__rate_interval]))",
                            "{{event}}",
                        )
                    ],
                    width=12,
                    stacked=True,
                ),
            ],
        ),
    ],
)
