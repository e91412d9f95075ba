"""The gateway: connected browsers, and how fresh their data is."""

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
                    "1 while every gateway is connected to Redis.",
                    "short",
                    [Query("min(gw_redis_up{$SEL})")],
                    kind="number",
                    width=8,
                    bad_below=1,
                ),
                Panel(
                    "Dropped",
                    "Events a second that were replaced by newer ones for slow readers.",
                    "ops",
                    [Query("sum(rate(gw_dropped_total{$SEL}[$__rate_interval]))")],
                    kind="number",
                    width=8,
                    bad_above=10,
                ),
                Panel(
                    "Sockets by gateway",
                    "How evenly sockets are distributed.",
                    "short",
                    [Query("sum by (instance) (gw_connections{$SEL})", "{{instance}}")],
                    stacked=True,
                ),
                Panel(
                    "Closed, by close code",
                    "4xxx are the gateway's own codes; peer: the client disconnected.",
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
                    "Messages written to sockets a second.",
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
                    "Time from an event's publication to its routing. More than a second for five "
                    "minutes raises an alert.",
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
