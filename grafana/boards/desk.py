"""The desk at a glance: account, signals and orders."""

from grafana.parts import Board, Panel, Query, Row

DESK = Board(
    uid="streamdesk-desk",
    title="Desk",
    about="Signals, orders, fills, and the value of the account.",
    jobs="streamdesk-(signal-generator|order-executor|operator)",
    rows=[
        Row(
            "Account",
            [
                Panel(
                    "Equity",
                    "Cash plus the value of all positions, at their last prices.",
                    "currencyUSD",
                    [Query("max(portfolio_equity_usd{$SEL})")],
                    kind="number",
                    width=5,
                ),
                Panel(
                    "Cash",
                    "Cash in the account, reservations included.",
                    "currencyUSD",
                    [Query("max(portfolio_cash_usd{$SEL})")],
                    kind="number",
                    width=5,
                ),
                Panel(
                    "Change over the time range",
                    "Equity now minus equity at the start of the time range.",
                    "currencyUSD",
                    [
                        Query(
                            "max(portfolio_equity_usd{$SEL}) "
                            "- max(portfolio_equity_usd{$SEL} offset $__range)"
                        )
                    ],
                    kind="number",
                    width=5,
                    bad_below=0,
                ),
                Panel(
                    "Positions",
                    "Open positions.",
                    "short",
                    [Query("max(positions_open{$SEL})")],
                    kind="number",
                    width=3,
                ),
                Panel(
                    "Blocked",
                    "1 while an executor decides nothing: not reconciled, or an unknown outcome.",
                    "short",
                    [Query("max(trading_blocked{$SEL})")],
                    kind="number",
                    width=3,
                    bad_above=1,
                ),
                Panel(
                    "Halted",
                    "2: nothing is sent. 1: exits alone.",
                    "short",
                    [Query("max(2 * trading_halted{$SEL} + trading_reducing{$SEL})")],
                    kind="number",
                    width=3,
                    bad_above=1,
                ),
                Panel(
                    "Locks of entries",
                    "While one is in force no position is opened, in a symbol or in any.",
                    "short",
                    [Query("max by (code) (entry_locks{$SEL})", "{{code}}")],
                    width=12,
                ),
                Panel(
                    "Losses",
                    "Realised and open: of the day, and since the highest equity.",
                    "percent",
                    [
                        Query("max(day_loss_percent{$SEL})", "day"),
                        Query("max(drawdown_percent{$SEL})", "since the peak"),
                    ],
                    width=12,
                ),
                Panel(
                    "Equity and cash over time",
                    "The gap between the lines is the value of the positions.",
                    "currencyUSD",
                    [
                        Query("max(portfolio_equity_usd{$SEL})", "equity"),
                        Query("max(portfolio_cash_usd{$SEL})", "cash"),
                    ],
                    width=12,
                ),
                Panel(
                    "Discrepancies",
                    "Ledger figures that do not follow from the fills, or that differ from the "
                    "broker's. Anything above 0 needs a person.",
                    "short",
                    [
                        Query("max(ledger_discrepancies{$SEL})", "ledger"),
                        Query("max(broker_discrepancies{$SEL})", "broker"),
                    ],
                    width=12,
                    bad_above=1,
                ),
            ],
        ),
        Row(
            "Signals",
            [
                Panel(
                    "Bars",
                    "Bars taken from the feed. Without bars no signal can be made.",
                    "ops",
                    [
                        Query(
                            "sum by (feed) (rate(bars_taken_total{$SEL}[$__rate_interval]))",
                            "{{feed}}",
                        )
                    ],
                ),
                Panel(
                    "Signals by type",
                    "Signals published to the queue.",
                    "ops",
                    [
                        Query(
                            "sum by (type) (rate(signals_generated_total{$SEL}[$__rate_interval]))",
                            "{{type}}",
                        )
                    ],
                    stacked=True,
                ),
                Panel(
                    "Bars without a signal, by reason",
                    "Not enough bars, below the threshold, or cooling down after a signal.",
                    "ops",
                    [
                        Query(
                            "sum by (reason) (rate(signals_withheld_total{$SEL}"
                            "[$__rate_interval]))",
                            "{{reason}}",
                        )
                    ],
                    stacked=True,
                ),
                Panel(
                    "Scores",
                    "Median and 90th percentile of the signals' scores.",
                    "short",
                    [
                        Query(
                            f"histogram_quantile({share}, sum by (le) "
                            "(rate(signal_score_bucket{$SEL}[$__rate_interval])))",
                            f"p{share * 100:.0f}",
                        )
                        for share in (0.5, 0.9)
                    ],
                ),
                Panel(
                    "Scan duration",
                    "Time from the bars of one moment to their last signal.",
                    "s",
                    [
                        Query(
                            f"histogram_quantile({share}, sum by (le) "
                            "(rate(scan_duration_seconds_bucket{$SEL}[$__rate_interval])))",
                            f"p{share * 100:.0f}",
                        )
                        for share in (0.5, 0.99)
                    ],
                ),
                Panel(
                    "Signal backlog",
                    "Waiting in the queue, and pending. More than a thousand for five minutes "
                    "raises an alert.",
                    "short",
                    [
                        Query('max(streams_lag{$SEL, topic="signals"})', "waiting"),
                        Query(
                            "sum(max by (stream) (redis_pending_messages{$SEL, "
                            'group="order-executors"}))',
                            "pending",
                        ),
                    ],
                    bad_above=1000,
                ),
            ],
        ),
        Row(
            "Orders",
            [
                Panel(
                    "Decisions",
                    "Signals by result.",
                    "ops",
                    [
                        Query(
                            "sum by (result) (rate(signals_decided_total{$SEL}[$__rate_interval]))",
                            "{{result}}",
                        )
                    ],
                    stacked=True,
                ),
                Panel(
                    "Refusals by code",
                    "Why signals became no order. A single code points to a setting.",
                    "ops",
                    [
                        Query(
                            "sum by (code) (rate(signals_decided_total"
                            '{$SEL, result="refused"}[$__rate_interval]))',
                            "{{code}}",
                        )
                    ],
                    stacked=True,
                ),
                Panel(
                    "Fills",
                    "Trades booked in the ledger.",
                    "ops",
                    [
                        Query(
                            "sum by (market, side) (rate(fills_total{$SEL}[$__rate_interval]))",
                            "{{market}} {{side}}",
                        )
                    ],
                ),
                Panel(
                    "From signal to decision",
                    "Time from publish to acknowledgement, waiting included.",
                    "s",
                    [
                        Query(
                            f"histogram_quantile({share}, sum by (le) (rate("
                            'event_processing_latency_bucket{$SEL, topic="signals"}'
                            "[$__rate_interval])))",
                            f"p{share * 100:.0f}",
                        )
                        for share in (0.5, 0.99)
                    ],
                ),
                Panel(
                    "Lost responses of the broker",
                    "Each order is looked up at the broker before anything is sent again.",
                    "short",
                    [
                        Query(
                            "sum(increase(order_outcomes_unknown_total{$SEL}[$__rate_interval]))",
                            "unknown",
                        )
                    ],
                ),
                Panel(
                    "Outbox backlog",
                    "Events of the ledger that are not published yet.",
                    "short",
                    [Query("max(outbox_backlog{$SEL})", "outbox")],
                    bad_above=500,
                ),
            ],
        ),
    ],
)
