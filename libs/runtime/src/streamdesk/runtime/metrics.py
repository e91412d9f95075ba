"""Every metric of the project: the one place that names them.

A service adds its metrics to the section of its name. Names end in their unit or in `_total`;
labels have few values (a symbol is not one of them). All live in prometheus_client's default
registry, which `/metrics` serves.
"""

from prometheus_client import Counter, Histogram, Info

from streamdesk.runtime.fading import FadingGauge
from streamdesk.runtime.gauge import Gauge

# From half a millisecond to a minute: a handler, a query, a request.
DURATION_SECONDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
)  # fmt: skip
# From a millisecond to an hour: what waited in a queue, or for a retry.
LATENCY_SECONDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 900, 3600,
)  # fmt: skip

# -- bus: written by observer.BusMetrics --------------------------------------------------------

STREAMS_MESSAGES_PUBLISHED = Counter(
    "streams_messages_published_total", "Events written to a topic.", ["topic"]
)
STREAMS_PUBLISHES_REFUSED = Counter(
    "streams_publishes_refused_total",
    "Publishes refused because the queue, the stream or the server's memory is full.",
    ["topic"],
)
STREAMS_MESSAGES_CONSUMED = Counter(
    "streams_messages_consumed_total",
    "Events handled, by outcome: ack, retry or dead.",
    ["topic", "group", "outcome"],
)
STREAMS_PROCESSING_DURATION = Histogram(
    "streams_processing_duration_seconds",
    "Time in the handler, one call: one event, or one batch of them.",
    ["topic", "group"],
    buckets=DURATION_SECONDS,
)
EVENT_PROCESSING_LATENCY = Histogram(
    "event_processing_latency",
    "Seconds from publish to acknowledgement; of a batch, its oldest event's.",
    ["topic", "group"],
    buckets=LATENCY_SECONDS,
)
STREAMS_RETRIES = Counter(
    "streams_retries_total", "Events put back to be handled again.", ["topic", "group"]
)
STREAMS_DEAD_LETTERS = Counter(
    "streams_dead_letters_total", "Events given up, by reason.", ["topic", "group", "reason"]
)
STREAMS_TAIL_UNDECODABLE = Counter(
    "streams_tail_undecodable_total",
    "Entries that a reader without a group could not read and skipped.",
    ["topic", "reason"],
)
STREAMS_CAP_REACHED = Counter(
    "streams_cap_reached_total",
    "Publishes refused because a stream is as long as it may become.",
    ["topic"],
)
STREAMS_GROUPS_RECREATED = Counter(
    "streams_groups_recreated_total",
    "Consumer groups that the server had lost, made again where they had been.",
    ["topic", "group"],
)
STREAMS_RECONNECTS = Counter("streams_reconnects_total", "Outages of Redis that ended.")
STREAMS_CONNECTED = Gauge("streams_connected", "1 while Redis answers, 0 while it does not.")
STREAMS_OUTAGE_SECONDS = Counter(
    "streams_outage_seconds_total", "Seconds without Redis, counted when they are over."
)

# Where the groups stand on the server. Every process that consumes shows its groups' figures, all
# the same ones: take their max, not their sum.

STREAMS_LAG = FadingGauge(
    "streams_lag", "Entries that the group was not given yet.", ["topic", "group"]
)
STREAMS_DELAYED = FadingGauge(
    "streams_delayed", "Messages that wait for their time: a retry, or a delay.", ["topic", "group"]
)
STREAMS_OLDEST_PENDING = FadingGauge(
    "streams_oldest_pending_seconds",
    "Age of the oldest pending entry since it was published; 0 when none is.",
    ["topic", "group"],
)
STREAMS_ACTIVE_CONSUMERS = FadingGauge(
    "streams_active_consumers", "Consumers of the group that are alive.", ["topic", "group"]
)
STREAMS_DEAD_LETTERS_WAITING = FadingGauge(
    "streams_dead_letters_waiting", "Dead letters not yet redriven or purged.", ["topic"]
)
STREAMS_BREAKER_OPEN = FadingGauge(
    "streams_breaker_open",
    "1 while this process's circuit breaker keeps the group from taking, else 0.",
    ["topic", "group"],
)
REDIS_STREAM_LENGTH = FadingGauge("redis_stream_length", "Entries on the stream.", ["stream"])
REDIS_CONSUMER_LAG = FadingGauge(
    "redis_consumer_lag",
    "Entries of the stream that the group was not given yet.",
    ["stream", "group"],
)
REDIS_PENDING_MESSAGES = FadingGauge(
    "redis_pending_messages",
    "Entries of the stream in the hands of the group's consumers.",
    ["stream", "group"],
)

# -- signals: services/signal-generator ---------------------------------------------------------

BARS_TAKEN = Counter("bars_taken_total", "Bars taken from the feed and published.", ["feed"])
BARS_REFUSED = Counter(
    "bars_refused_total", "Bars skipped because they make no sense, by reason.", ["feed", "reason"]
)
FEED_OPEN = Gauge(
    "feed_open", "1 while bars are expected: from warm on until the feed ends.", ["feed"]
)
FEED_ACTIVE = Gauge("feed_active", "1 while this replica publishes the feed; 0 while it stands by.")
FEED_WAIT = Counter(
    "feed_wait_seconds_total",
    "Time that a recording in step waited, by what for: an executor, the bars or the signals of a "
    "time to be handled.",
    ["what"],
)
SIGNALS_GENERATED = Counter("signals_generated_total", "Signals put into the queue.", ["type"])
SIGNALS_WITHHELD = Counter(
    "signals_withheld_total",
    "Bars that gave no signal: not enough bars, below the threshold, or cooling down.",
    ["reason"],
)
SIGNALS_QUEUE_FULL = Counter(
    "signals_queue_full_total", "Signals dropped because the queue was full."
)
SIGNAL_SCORES = Histogram(
    "signal_score", "Scores of the signals put into the queue.", buckets=tuple(range(10, 101, 10))
)
SCAN_DURATION = Histogram(
    "scan_duration_seconds",
    "Time from the bars of one moment to their last signal, publishing included, and in step the "
    "decisions.",
    buckets=DURATION_SECONDS,
)

# -- orders: services/order-executor ------------------------------------------------------------

SIGNALS_DECIDED = Counter(
    "signals_decided_total",
    "Signals by result (ordered, refused, repeated, postponed) and code of the refusal.",
    ["result", "code"],
)
FILLS = Counter("fills_total", "Trades booked in the ledger.", ["market", "side"])
ORDER_OUTCOMES_UNKNOWN = Counter(
    "order_outcomes_unknown_total", "Orders whose answer from the broker was lost."
)
ORDERS_RECONCILED = Counter(
    "orders_reconciled_total", "Unfinished orders that the broker was asked about."
)
ORDERS_CANCELED = Counter(
    "orders_canceled_total",
    "Orders of which the desk wanted the rest canceled, by reason.",
    ["reason"],
)
PROTECTIVE_EXITS = Counter(
    "protective_exits_total", "Positions closed because a stop was crossed.", ["stop"]
)
STOPS_RAISED = Counter(
    "stops_raised_total", "Stops that followed the market, or went to the average cost."
)
TRADING_BLOCKED = Gauge(
    "trading_blocked",
    "1 while no signal is decided: not reconciled, an outcome is unknown, or the books differ.",
)
ORDERS_CONTRADICTED = Gauge(
    "orders_contradicted", "Orders that the broker contradicts; each locks its symbol."
)
EXTERNAL_TRADES_OPEN = Gauge(
    "external_trades_open", "Trades that no desk ordered, neither adopted nor ignored yet."
)
TRADING_HALTED = Gauge("trading_halted", "1 while the kill switch halts trading: nothing is sent.")
TRADING_REDUCING = Gauge("trading_reducing", "1 while the kill switch lets exits through alone.")
ENTRY_LOCKS = Gauge(
    "entry_locks", "Locks in force: no position is opened in a symbol, or in any.", ["code"]
)
CORPORATE_ACTIONS = Counter(
    "corporate_actions_total", "Splits and dividends booked by this executor.", ["kind"]
)
BARS_HELD_BACK = Counter(
    "bars_held_back_total", "Bars that nothing acted upon, because the price had jumped."
)
DAY_LOSS = Gauge(
    "day_loss_percent", "Realised and open loss of the day, of the equity it began with."
)
DRAWDOWN = Gauge("drawdown_percent", "Loss since the highest equity, of that equity.")
LEDGER_DISCREPANCIES = Gauge(
    "ledger_discrepancies", "Figures of the ledger that do not follow from its fills."
)
BROKER_DISCREPANCIES = Gauge(
    "broker_discrepancies", "Figures of the ledger that differ from the broker's book."
)
BOOK_CHECK_TIME = Gauge(
    "book_check_timestamp_seconds", "When the books were last checked, whatever was found."
)
BOOK_CHECK_DURATION = Gauge(
    "book_check_duration_seconds", "How long the last check of the books took, the first look."
)
OUTBOX_BACKLOG = Gauge("outbox_backlog", "Events of the ledger that wait to be published.")
PORTFOLIO_EQUITY = Gauge("portfolio_equity_usd", "Cash plus the worth of all positions.")
PORTFOLIO_CASH = Gauge("portfolio_cash_usd", "Cash, reservations included.")
POSITIONS_OPEN = Gauge("positions_open", "Open positions.")

# -- news: services/news-fetcher, services/news-filter ------------------------------------------

NEWS_FETCH_SUCCESS = Counter(
    "news_fetch_success_total", "Requests that the source answered with articles.", ["source"]
)
NEWS_FETCH_FAILURE = Counter(
    "news_fetch_failure_total",
    "Requests that the source did not answer, or not with articles, by reason.",
    ["source", "reason"],
)
NEWS_FETCHED = Counter(
    "news_fetched_total", "Articles that a source returned, before any rule.", ["source"]
)
NEWS_ARTICLES = Counter(
    "news_articles_total", "Articles published, by the instrument asked for.", ["ticker"]
)
NEWS_DUPLICATES = Counter(
    "news_duplicates_total",
    "Articles not published because their link was published before.",
    ["source"],
)
NEWS_ARTICLES_INVALID = Counter(
    "news_articles_invalid_total",
    "Articles not published because they cannot be used, by reason.",
    ["source", "reason"],
)
NEWS_QUOTA_LEFT = Gauge(
    "news_quota_left_calls", "Calls that the source still allows until 00:00 GMT.", ["source"]
)
NEWS_QUOTA_EXHAUSTED = Gauge(
    "news_quota_exhausted", "1 while the source's daily calls are used up.", ["source"]
)
NEWS_FETCHER_ACTIVE = Gauge("news_fetcher_active", "1 while this replica is the one that fetches.")
NEWS_CIRCUIT_OPEN = Gauge(
    "news_circuit_open", "1 while a source that failed repeatedly is left alone.", ["source"]
)
NEWS_LAST_ROUND = Gauge(
    "news_last_round_timestamp_seconds",
    "Unix time at which the last whole round ended.",
    ["source"],
)
NEWS_FILTER_PROCESSED = Counter(
    "news_filter_processed_total",
    "Articles judged by the filter, by outcome: passed, or the rule that dropped them.",
    ["outcome"],
)
NEWS_RULES_LOADED = Counter(
    "news_rules_loaded_total", "Rule files read by outcome: loaded, or refused.", ["outcome"]
)
NEWS_SENTIMENT_CACHE = Counter(
    "news_sentiment_cache_total", "Headlines looked up in the cache, by outcome.", ["outcome"]
)
NEWS_END_TO_END = Histogram(
    "news_end_to_end_seconds",
    "Seconds from the fetch of an article to its place among the filtered ones.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
NEWS_AGE_AT_FILTER = Histogram(
    "news_age_at_filter_seconds",
    "Seconds from an article's publication to its judgement by the filter.",
    buckets=(1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86_400, 3 * 86_400),
)


# -- schedules: services/analysis -----------------------------------------------------------------

SCHEDULER_FIRES = Counter(
    "scheduler_fires_total",
    "Slots of a schedule by outcome: fired once each, whichever replica does it; besides those "
    "taken-up after a crash, failed, given-up.",
    ["name", "outcome"],
)
SCHEDULER_MISSED_SLOTS = Counter(
    "scheduler_missed_slots_total",
    "Slots that were not fired in time, and were dropped.",
    ["name"],
)
SCHEDULER_LEADER = Gauge(
    "scheduler_leader", "1 while this process is the one that fires the schedule.", ["name"]
)
ANALYSIS_EVENTS_DROPPED = Counter(
    "analysis_events_dropped_total",
    "Reports of tasks left out because too many wait for the server.",
)


# -- analysis: services/analysis, its API and cache ---------------------------------------------

ANALYSIS_REQUESTS = Counter(
    "analysis_requests_total", "Requests of the API, by route and HTTP status.", ["route", "status"]
)
ANALYSIS_REQUEST_DURATION = Histogram(
    "analysis_request_duration_seconds",
    "Time from the whole request to the answer.",
    ["route"],
    buckets=DURATION_SECONDS,
)
HAMA_CACHE_HITS = Counter(
    "hama_cache_hits_total",
    "Analyses that were there already: memory (seen a moment ago, or Redis is down) or redis.",
    ["tier"],
)
HAMA_CACHE_MISSES = Counter("hama_cache_misses_total", "Analyses that a client had to wait for.")
HAMA_COMPUTATIONS = Counter("hama_computations_total", "Analyses computed.")
HAMA_COMPUTE_FAILURES = Counter(
    "hama_compute_failures_total", "Analyses that could not be computed, by reason.", ["reason"]
)
HAMA_COMPUTE_DURATION = Histogram(
    "hama_compute_duration_seconds",
    "Time to get bars and compute, one call: one symbol, or a batch.",
    buckets=DURATION_SECONDS,
)
BAR_SOURCE_REQUESTS = Counter(
    "bar_source_requests_total",
    "Requests to an outside source of bars: ok, unknown, limited (to be slower) or unavailable.",
    ["source", "outcome"],
)
HAMA_CACHE_FALLBACK = Gauge(
    "hama_cache_fallback", "1 while analyses are kept in memory, because Redis is off or away."
)

# -- daily job: services/analysis ---------------------------------------------------------------

JOB_STOCKS = Counter(
    "job_stocks_total",
    "Stocks of the daily indicator job by outcome: computed or failed.",
    ["outcome"],
)
JOB_DURATION = Histogram(
    "job_duration_seconds",
    "Daily indicator job from its begin to its end, reading and publishing included.",
    buckets=DURATION_SECONDS,
)


# -- gateway: services/websocket-gateway --------------------------------------------------------

GW_CONNECTIONS = Gauge("gw_connections", "Sockets open now.")
GW_DISCONNECTS = Counter(
    "gw_disconnect_total", "Sockets ended: our close code, or peer where the client left.", ["code"]
)
GW_EVENTS = Counter("gw_events_total", "Events of the bus routed to channels.", ["event"])
GW_MESSAGES_SENT = Counter("gw_messages_sent_total", "Texts written to sockets.")
GW_DROPPED = Counter(
    "gw_dropped_total", "Events left out for newer ones where a reader is slow.", ["policy"]
)
GW_DELIVERY_LAG = Histogram(
    "gw_delivery_lag_seconds",
    "Seconds from an event's publication to its routing.",
    buckets=LATENCY_SECONDS,
)
GW_BUS_UP = Gauge("gw_redis_up", "1 while the gateway's bus answers.")

# -- bar store: services/analysis, its recorder -------------------------------------------------

BAR_STORE_BARS = Counter("bar_store_bars_total", "Bars written to the bar store.")
BAR_STORE_FAILURES = Counter(
    "bar_store_failures_total", "Times that bars could not be written, or files not be tidied."
)

# -- pools: services/operator -------------------------------------------------------------------

EXECUTORPOOL_REPLICAS = Gauge(
    "executorpool_replicas", "Replicas asked of the pool's workload.", ["namespace", "pool"]
)
EXECUTORPOOL_READY_REPLICAS = Gauge(
    "executorpool_ready_replicas", "Replicas that are ready.", ["namespace", "pool"]
)
EXECUTORPOOL_DESIRED_REPLICAS = Gauge(
    "executorpool_desired_replicas", "Replicas that the pool should have.", ["namespace", "pool"]
)
EXECUTORPOOL_UNREAD = Gauge(
    "executorpool_unread",
    "Entries that the pool's group was not given yet; NaN while that is not known.",
    ["namespace", "pool"],
)
EXECUTORPOOL_PENDING = Gauge(
    "executorpool_pending",
    "Entries in the hands of the pool's consumers; NaN while that is not known.",
    ["namespace", "pool"],
)
EXECUTORPOOL_OLDEST_PENDING = Gauge(
    "executorpool_oldest_pending_seconds",
    "Age of the oldest pending entry since it was published; 0 when none is.",
    ["namespace", "pool"],
)
EXECUTORPOOL_READY = Gauge(
    "executorpool_ready", "1 while the condition Ready is true.", ["namespace", "pool"]
)
EXECUTORPOOL_DECISIONS = Counter(
    "executorpool_decisions_total", "Looks at a pool, by reason.", ["namespace", "pool", "reason"]
)
OPERATOR_TICKS = Counter(
    "operator_ticks_total", "Rounds over all pools: ok, or failed.", ["result"]
)
OPERATOR_TICK_AGE = Gauge("operator_tick_age_seconds", "Seconds since the last round that worked.")
OPERATOR_LEASE_HELD = Gauge("operator_lease_held", "1 while this operator is the one that acts.")
REDIS_MASTERS = Gauge(
    "streamdesk_redis_masters",
    "Servers that say that they are the master; anything but 1 is a fault.",
    ["service"],
)
REDIS_MASTER_AGREES = Gauge(
    "streamdesk_redis_master_agrees",
    "1 while there is one master, and it is the one that all Sentinels that answer name.",
    ["service"],
)


# -- alerts: services/alert-relay ---------------------------------------------------------------

ALERT_WEBHOOKS = Counter(
    "alert_relay_webhooks_total",
    "Notifications of Alertmanager by outcome: queued, invalid, unauthorized, too-large, or "
    "unavailable, which Alertmanager sends again.",
    ["outcome"],
)
ALERT_NOTIFICATIONS_ADMITTED = Counter(
    "alert_relay_notifications_total",
    "Notifications taken from the queue: new, merged with one that waits, duplicate, or repeated "
    "by the bus.",
    ["outcome"],
)
ALERT_MESSAGES = Counter(
    "alert_relay_messages_total",
    "Messages for the robot by outcome: told, too-fast, blocked, misconfigured, refused, not-sent, "
    "unknown.",
    ["outcome"],
)
ALERT_GROUPS_TOLD = Counter(
    "alert_relay_groups_told_total",
    "Groups of alerts that people were notified of.",
    ["status", "severity"],
)
ALERT_GROUPS_GIVEN_UP = Counter(
    "alert_relay_groups_given_up_total", "Groups dropped because the robot refuses what they say."
)
ALERT_DELAY = Histogram(
    "alert_relay_delay_seconds",
    "Seconds from a notification to the robot's answer that it took the message.",
    ["severity"],
    buckets=LATENCY_SECONDS,
)
ALERT_SEND_DURATION = Histogram(
    "alert_relay_send_duration_seconds",
    "Time of one request to the robot.",
    buckets=DURATION_SECONDS,
)
ALERT_SENDER_ACTIVE = Gauge(
    "alert_relay_sender_active", "1 while this process is the one that sends."
)
ALERT_GROUPS_WAITING = Gauge(
    "alert_relay_groups_waiting", "Groups that people are not told of yet; 0 but at the sender."
)
ALERT_OLDEST_WAITING = Gauge(
    "alert_relay_oldest_waiting_seconds",
    "Seconds since the oldest news came in that people do not know; 0 when they know all.",
)
ALERT_ROBOT_QUIET = Gauge(
    "alert_relay_robot_quiet", "1 while the sender leaves the robot alone after a failure."
)
ALERT_ROBOT_STOPPED = Gauge(
    "alert_relay_robot_stopped",
    "1 while the robot does not take our settings: token, signature, keyword, clock.",
)


# -- process: every service ---------------------------------------------------------------------

PROCESS_INFO = Info("streamdesk", "Which service this is, its version and instance.")
PROCESS_READY = Gauge("streamdesk_ready", "1 while /readyz says yes.")
PROCESS_LOOP_LAG = Gauge(
    "streamdesk_event_loop_lag_seconds", "How late the event loop woke up, last time."
)
