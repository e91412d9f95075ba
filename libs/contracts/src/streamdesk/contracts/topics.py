"""The one list of topics: what travels where, its producers and consumers.

`docs/data-flow.md` and `docs/asyncapi.json` are generated from this list.
"""

from typing import Any

from streamdesk.contracts.base import Consumer, Event, Topic
from streamdesk.contracts.events import (
    AlertsNotified,
    BarClosed,
    BarsHandled,
    CorporateActionBooked,
    EntriesLocked,
    EntriesUnlocked,
    HamaChanged,
    NewsFetched,
    NewsFiltered,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    PortfolioValued,
    RiskAlerted,
    SignalGenerated,
    StockIndicatorsCompleted,
    StrategyUpdated,
    SystemEvent,
    TaskCompleted,
    TaskProgressed,
)
from streamdesk.contracts.events.signals import EXIT_CLASS

GATEWAY = Consumer("websocket-gateway")
EVERY_SERVICE = (
    # services.toml: reporting services
    "signal-generator",
    "order-executor",
    "news-fetcher",
    "news-filter",
    "analysis",
    "websocket-gateway",
    "alert-relay",
    # services.toml: end
)

MARKET_BARS: Topic[BarClosed] = Topic(
    name="bars",
    key="market:bars",
    models=(BarClosed,),
    about="Closed price bars, as the feed delivers them.",
    mode="frame",
    key_field="symbol",
    dead_key="market:bars:dead",
    producers=("signal-generator",),
    consumers=(GATEWAY, Consumer("order-executor"), Consumer("analysis")),
)
BARS_HANDLED: Topic[BarsHandled] = Topic(
    name="bars_handled",
    key="market:bars-handled",
    models=(BarsHandled,),
    about="How far each executor has acted on the bars: a recording waits for it.",
    key_field="executor",
    dead_key="market:bars-handled:dead",
    keep=1_000,
    producers=("order-executor",),
    consumers=(Consumer("signal-generator"),),
)
ANALYSIS_STATES: Topic[HamaChanged] = Topic(
    name="analysis",
    key="analysis:hama",
    models=(HamaChanged,),
    about="HAMA states of the watched instruments, whenever one changes.",
    key_field="symbol",
    dead_key="analysis:hama:dead",
    keep=20_000,  # a weekend of changes: a page opened on Monday shows Friday's states
    # Two replicas that see the same change give it the same id.
    dedup_window_seconds=600,
    producers=("analysis",),
    consumers=(GATEWAY,),
)
TRADING_SIGNALS: Topic[SignalGenerated] = Topic(
    name="signals",
    key="trading:signals",
    models=(SignalGenerated,),
    about="Scored signals: exits first, then entries by the class of their score.",
    key_field="symbol",
    class_field="queue_class",
    classes=(*range(0, 101, 10), EXIT_CLASS),
    reserved_class=EXIT_CLASS,
    displaces=True,
    dead_key="trading:signals:dead",
    max_backlog=1_000,
    durable=True,
    # A generator that was killed writes the signals of its last bars again, under the same ids;
    # what comes later than this the ledger recognizes.
    dedup_window_seconds=3_600,
    producers=("signal-generator",),
    consumers=(Consumer("order-executor", "order-executors"), GATEWAY),
)
OUTBOX_WINDOW_SECONDS = 86_400
"""An executor that is killed between publishing and noting it leaves events that another one
publishes again, a lease later; so does one that stalls while another takes over. A day covers an
account whose executors were all down for the night. Each event costs the server some 140 bytes
until then."""

TRADING_ORDERS: Topic[Event] = Topic(
    name="orders",
    key="trading:orders",
    models=(
        OrderSubmitted,
        OrderAccepted,
        OrderFilled,
        OrderRejected,
        OrderCanceled,
        CorporateActionBooked,
        PortfolioValued,
    ),
    about="Orders, their fills, and the portfolio they add up to.",
    dead_key="trading:orders:dead",
    durable=True,
    dedup_window_seconds=OUTBOX_WINDOW_SECONDS,
    producers=("order-executor",),
    consumers=(GATEWAY, Consumer("console")),
)
TRADING_RISK: Topic[RiskAlerted] = Topic(
    name="risk",
    key="trading:risk",
    models=(RiskAlerted, EntriesLocked, EntriesUnlocked),
    about="Risk limits near, reached or crossed; locks of entries.",
    key_field="code",
    dead_key="trading:risk:dead",
    durable=True,
    dedup_window_seconds=OUTBOX_WINDOW_SECONDS,
    producers=("order-executor",),
    consumers=(GATEWAY,),
)
STRATEGY_UPDATES: Topic[StrategyUpdated] = Topic(
    name="strategy",
    key="strategy:updates",
    models=(StrategyUpdated,),
    about="The rules that make signals, when set or changed.",
    key_field="strategy",
    dead_key="strategy:updates:dead",
    producers=("signal-generator",),
    consumers=(GATEWAY,),
)
SYSTEM_EVENTS: Topic[SystemEvent] = Topic(
    name="system",
    key="system:events",
    models=(SystemEvent,),
    about="Services starting, stopping, losing and regaining what they need.",
    key_field="service",
    dead_key="system:events:dead",
    producers=EVERY_SERVICE,
    consumers=(GATEWAY,),
)
TASKS: Topic[Event] = Topic(
    name="tasks",
    key="tasks",
    models=(TaskProgressed, StockIndicatorsCompleted, TaskCompleted),
    about="Long tasks and their progress.",
    key_field="task_id",
    dead_key="tasks:dead",
    # A run resumed within a day publishes nothing twice: its ids follow from run and step.
    dedup_window_seconds=86_400,
    producers=("signal-generator", "analysis"),
    consumers=(GATEWAY,),
)
NEWS_WINDOW_SECONDS = 7 * 86_400

NEWS_RAW: Topic[NewsFetched] = Topic(
    name="news_raw",
    key="mt5:events:news_raw",
    models=(NewsFetched,),
    about="Articles as they were fetched, each link once.",
    key_field="link_hash",
    dead_key="mt5:events:deadletter",
    # An article's id follows from its link. Longer than any fetcher reaches back.
    dedup_window_seconds=NEWS_WINDOW_SECONDS,
    producers=("news-fetcher",),
    consumers=(Consumer("news-filter", "news-filter-group"),),
)
NEWS_FILTERED: Topic[NewsFiltered] = Topic(
    name="news_filtered",
    key="mt5:events:news_filtered",
    models=(NewsFiltered,),
    about="Articles that matter: recent, about watched instruments, of strong sentiment.",
    key_field="link_hash",
    dead_key="mt5:events:deadletter",
    # A filter killed before it acknowledges filters again, under the raw article's id.
    dedup_window_seconds=NEWS_WINDOW_SECONDS,
    producers=("news-filter",),
    consumers=(GATEWAY,),
)
ALERTS: Topic[AlertsNotified] = Topic(
    name="alerts",
    key="alerts:notified",
    models=(AlertsNotified,),
    about="Groups of alerts that people must be notified of.",
    key_field="group_key",
    dead_key="alerts:notified:dead",
    max_backlog=2_000,
    durable=True,
    producers=("alert-relay",),
    consumers=(Consumer("alert-relay", "alert-relays"),),
)

TOPICS: tuple[Topic[Any], ...] = (
    MARKET_BARS,
    BARS_HANDLED,
    ANALYSIS_STATES,
    TRADING_SIGNALS,
    TRADING_ORDERS,
    TRADING_RISK,
    STRATEGY_UPDATES,
    SYSTEM_EVENTS,
    TASKS,
    NEWS_RAW,
    NEWS_FILTERED,
    ALERTS,
)


def bars_handled(bars_key: str) -> Topic[BarsHandled]:
    """The reports on the bars under this key: they follow it."""
    return BARS_HANDLED.configured(key=f"{bars_key}-handled")


BY_NAME: dict[str, Topic[Any]] = {topic.name: topic for topic in TOPICS}

# The five names of the event-bus interface.
MARKET_DATA = MARKET_BARS
TRADING_SIGNAL = TRADING_SIGNALS
RISK_ALERT = TRADING_RISK
STRATEGY_UPDATE = STRATEGY_UPDATES
SYSTEM_EVENT = SYSTEM_EVENTS
