"""Everything that travels, in the past tense.

`market` -> `signals` -> `orders`; `analysis`; `news`; `system`: what the desk reports about itself;
`tasks`; `locks` of entries; `alerts`: what the monitoring reports about it.
"""

from streamdesk.contracts.events.alerts import AlertsNotified, AlertState, AlertStatus
from streamdesk.contracts.events.analysis import (
    BollingerPhase,
    HamaChanged,
    HamaColour,
    HamaPreset,
    HamaSignal,
    HamaState,
    HamaTrend,
)
from streamdesk.contracts.events.locks import EntriesLocked, EntriesUnlocked
from streamdesk.contracts.events.market import BarClosed, BarsHandled
from streamdesk.contracts.events.news import NewsFetched, NewsFiltered
from streamdesk.contracts.events.orders import (
    Balance,
    CorporateActionBooked,
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    PortfolioValued,
    Position,
)
from streamdesk.contracts.events.signals import (
    ExitOptions,
    Reason,
    Side,
    SignalGenerated,
    SignalType,
)
from streamdesk.contracts.events.system import (
    RiskAlerted,
    Severity,
    StrategyUpdated,
    SystemEvent,
)
from streamdesk.contracts.events.tasks import (
    StockIndicatorsCompleted,
    TaskCompleted,
    TaskEvent,
    TaskProgressed,
)

__all__ = [
    "AlertState",
    "AlertStatus",
    "AlertsNotified",
    "Balance",
    "BarClosed",
    "BarsHandled",
    "BollingerPhase",
    "CorporateActionBooked",
    "EntriesLocked",
    "EntriesUnlocked",
    "ExitOptions",
    "HamaChanged",
    "HamaColour",
    "HamaPreset",
    "HamaSignal",
    "HamaState",
    "HamaTrend",
    "NewsFetched",
    "NewsFiltered",
    "OrderAccepted",
    "OrderCanceled",
    "OrderEvent",
    "OrderFilled",
    "OrderRejected",
    "OrderSubmitted",
    "PortfolioValued",
    "Position",
    "Reason",
    "RiskAlerted",
    "Severity",
    "Side",
    "SignalGenerated",
    "SignalType",
    "StockIndicatorsCompleted",
    "StrategyUpdated",
    "SystemEvent",
    "TaskCompleted",
    "TaskEvent",
    "TaskProgressed",
]
