"""What every process needs: settings, logs, metrics, traces, probes, drain."""

from streamdesk.runtime import metrics
from streamdesk.runtime.bus_tracer import BusTracer
from streamdesk.runtime.drain import Drain
from streamdesk.runtime.errors import BadSettingError, TickerFileError
from streamdesk.runtime.http import listen, serve_http
from streamdesk.runtime.logs import logger
from streamdesk.runtime.observer import BusMetrics
from streamdesk.runtime.process import Service, ServiceTask, run
from streamdesk.runtime.settings import BusSettings, CommaSeparated, ServiceSettings
from streamdesk.runtime.tracing import current_traceparent, exemplar, span
from streamdesk.runtime.watchlist import WATCHLIST, load_tickers, parse_symbols

__all__ = [
    "WATCHLIST",
    "BadSettingError",
    "BusMetrics",
    "BusSettings",
    "BusTracer",
    "CommaSeparated",
    "Drain",
    "Service",
    "ServiceSettings",
    "ServiceTask",
    "TickerFileError",
    "current_traceparent",
    "exemplar",
    "listen",
    "load_tickers",
    "logger",
    "metrics",
    "parse_symbols",
    "run",
    "serve_http",
    "span",
]
