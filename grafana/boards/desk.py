"""The desk at a glance: what people of the desk ask first."""

from grafana.parts import Board, Panel, Query, Row

DESK = Board(
    uid="streamdesk-desk",
    title="Desk",
    about="Signals, orders, fills and what it is all worth.",
    jobs="streamdesk-(signal-generator|order-executor|operator)",
    rows=[
        Row(
            "Account",
            [
                Panel(
                    "Equity",
                    "Cash plus the worth of all positions, at the last prices seen.",
                    "currencyUSD",
                    [Query("max(portfolio_equity_usd{$SEL})")],
                    kind="number",
                    width=5,
                ),
                Panel(
                    "Cash",
                    "What is not in positions, reservations included.",
                    "currencyUSD",
                    [Query("max(portfolio_cash_usd{$SEL})")],
                    kind="number",
                    width=5,
                ),
                Panel(
                    "Change since the beginning of the range",
                    "Equity now less equity at the left edge.",
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
                    "1 while an executor decides nothing: not reconciled, or an outcome unknown.",
                    "short",
                    [Query("max(trading_blocked{$SEL})")],
                    kind="number",
                    width=3,
                    bad_above=1,
                ),
                Panel(
                    "Halted",
                    "1 while the kill switch is on: purchases are refused.",
                    "short",
                    [Query("max(trading_halted{$SEL})")],
                    kind="number",
                    width=3,
                    bad_above=1,
                ),
                Panel(
                    "Equity and cash over time",
                    "The distance between the lines is what is invested.",
                    "currencyUSD",
                    [
                        Query("max(portfolio_equity_usd{$SEL})", "equity"),
                        Query("max(portfolio_cash_usd{$SEL})", "cash"),
                    ],
                    width=12,
                ),
                Panel(
                    "Books",
                    "Figures that do not follow from the fills, or differ from the broker's book. "
                    "Anything above 0 wants a person.",
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
                    "Bars taken from the feed. None while the feed is open: no signal can be made.",
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
                    "Signals put into the queue.",
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
                    "Half and nine tenths of the signals score at most this.",
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
                    "From the bars of one moment to their last signal.",
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
                    "Signals that wait",
                    "In the queue, and in hand. More than a thousand for five minutes is an alert.",
                    "short",
                    [
                        Query('max(streams_lag{$SEL, topic="signals"})', "waiting"),
                        Query(
                            "sum(max by (stream) (redis_pending_messages{$SEL, "
                            'group="order-executors"}))',
                            "in hand",
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
                    "Signals by what became of them.",
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
                    "Why signals became no order. One code that takes all points at a setting.",
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
                    "From the queue to the acknowledgement, waiting included.",
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
                    "Answers of the broker that were lost",
                    "Each order is asked for before anything is sent again.",
                    "short",
                    [
                        Query(
                            "sum(increase(order_outcomes_unknown_total{$SEL}[$__rate_interval]))",
                            "unknown",
                        )
                    ],
                ),
                Panel(
                    "Events that wait in the ledger",
                    "The outbox: what happened and is not published yet.",
                    "short",
                    [Query("max(outbox_backlog{$SEL})", "outbox")],
                    bad_above=500,
                ),
            ],
        ),
    ],
)
