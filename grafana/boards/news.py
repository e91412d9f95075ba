"""News: the source, its quota, the filter."""

from grafana.parts import Board, Panel, Query, Row

NEWS = Board(
    uid="streamdesk-news",
    title="News",
    about="Health of the source, what passes the filter, and how fast.",
    jobs="streamdesk-news-.*",
    rows=[
        Row(
            "The source",
            [
                Panel(
                    "Requests that succeed",
                    "Share of the requests answered with articles. Below 90 % for five minutes "
                    "raises an alert.",
                    "percentunit",
                    [
                        Query(
                            "sum(increase(news_fetch_success_total{$SEL}[30m])) / "
                            "(sum(increase(news_fetch_success_total{$SEL}[30m])) + "
                            "(sum(increase(news_fetch_failure_total{$SEL}[30m])) or vector(0)) > 0)"
                        )
                    ],
                    kind="number",
                    width=6,
                    bad_below=0.9,
                ),
                Panel(
                    "Calls left today",
                    "Calls left until 00:00 GMT. No data for a source without a quota.",
                    "short",
                    [Query("min by (source) (news_quota_left_calls{$SEL})", "{{source}}")],
                    kind="number",
                    width=6,
                ),
                Panel(
                    "Active fetchers",
                    "Exactly one replica fetches.",
                    "short",
                    [Query("sum(news_fetcher_active{$SEL})")],
                    kind="number",
                    width=6,
                    bad_below=1,
                ),
                Panel(
                    "Since the last complete round",
                    "Time since a round in which the source answered for every ticker.",
                    "s",
                    [Query("time() - max(news_last_round_timestamp_seconds{$SEL} > 0)")],
                    kind="number",
                    width=6,
                    bad_above=3600,
                ),
                Panel(
                    "Requests by outcome",
                    "Answered with articles, or failed, by reason.",
                    "short",
                    [
                        Query(
                            "sum by (source) (increase(news_fetch_success_total{$SEL}"
                            "[$__rate_interval]))",
                            "{{source}} answered",
                        ),
                        Query(
                            "sum by (source, reason) (increase(news_fetch_failure_total{$SEL}"
                            "[$__rate_interval]))",
                            "{{source}} {{reason}}",
                        ),
                    ],
                    stacked=True,
                ),
                Panel(
                    "Articles",
                    "Returned by the source, published, duplicates, and invalid ones.",
                    "short",
                    [
                        Query(
                            "sum(increase(news_fetched_total{$SEL}[$__rate_interval]))", "returned"
                        ),
                        Query(
                            "sum(increase(news_articles_total{$SEL}[$__rate_interval]))",
                            "published",
                        ),
                        Query(
                            "sum(increase(news_duplicates_total{$SEL}[$__rate_interval]))",
                            "duplicate",
                        ),
                        Query(
                            "sum(increase(news_articles_invalid_total{$SEL}[$__rate_interval]))",
                            "invalid",
                        ),
                    ],
                ),
                Panel(
                    "Articles by ticker",
                    "Articles published, for the top ten tickers.",
                    "short",
                    [
                        Query(
                            "topk(10, sum by (ticker) (increase(news_articles_total{$SEL}"
                            "[$__rate_interval])))",
                            "{{ticker}}",
                        )
                    ],
                    stacked=True,
                ),
            ],
        ),
        Row(
            "The filter",
            [
                Panel(
                    "Judged, by outcome",
                    "Passed, or the rule that dropped the article.",
                    "ops",
                    [
                        Query(
                            "sum by (outcome) (rate(news_filter_processed_total{$SEL}"
                            "[$__rate_interval]))",
                            "{{outcome}}",
                        )
                    ],
                    stacked=True,
                ),
                Panel(
                    "Pass rate",
                    "Share of the judged articles that passed.",
                    "percentunit",
                    [
                        Query(
                            'sum(rate(news_filter_processed_total{$SEL, outcome="passed"}'
                            "[$__rate_interval])) / "
                            "(sum(rate(news_filter_processed_total{$SEL}[$__rate_interval])) > 0)",
                            "passed",
                        )
                    ],
                ),
                Panel(
                    "From fetched to filtered",
                    "Time from fetch to publication as filtered news; the aim is 95 % within 1 s.",
                    "s",
                    [
                        Query(
                            f"histogram_quantile({share}, sum by (le) (rate("
                            "news_end_to_end_seconds_bucket{$SEL}[$__rate_interval])))",
                            f"p{share * 100:.0f}",
                        )
                        for share in (0.5, 0.95, 0.99)
                    ],
                    bad_above=1,
                ),
                Panel(
                    "Age at the filter",
                    "Time from an article's publication at the source to the filter's verdict.",
                    "s",
                    [
                        Query(
                            f"histogram_quantile({share}, sum by (le) (rate("
                            "news_age_at_filter_seconds_bucket{$SEL}[$__rate_interval])))",
                            f"p{share * 100:.0f}",
                        )
                        for share in (0.5, 0.95)
                    ],
                ),
                Panel(
                    "Lag of the filter",
                    "Articles not yet delivered to a filter.",
                    "short",
                    [Query('max(streams_lag{$SEL, topic="news_raw"})', "waiting")],
                    bad_above=1000,
                ),
                Panel(
                    "Sentiment cache",
                    "Headlines looked up, by outcome.",
                    "ops",
                    [
                        Query(
                            "sum by (outcome) (rate(news_sentiment_cache_total{$SEL}"
                            "[$__rate_interval]))",
                            "{{outcome}}",
                        )
                    ],
                ),
            ],
        ),
    ],
)
