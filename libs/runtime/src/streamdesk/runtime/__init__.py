"""What every process needs: settings, logs, metrics, traces, probes, drain."""

from streamdesk.runtime import metrics
from streamdesk.runtime.drain import Drain
from streamdesk.runtime.errors import BadSettingError
from streamdesk.runtime.http import listen, serve_http
from streamdesk.runtime.logs import logger
from streamdesk.runtime.observer import BusMetrics, BusTracer
from streamdesk.runtime.process import Service, Work, run
from streamdesk.runtime.settings import BusSettings, CommaSeparated, ServiceSettings
from streamdesk.runtime.tracing import (
    current_traceparent,
    exemplar,
    inject_trace_context,
    span,
    span_from,
)

__all__ = [
    "BadSettingError",
    "BusMetrics",
    "BusSettings",
    "BusTracer",
    "CommaSeparated",
    "Drain",
    "Service",
    "ServiceSettings",
    "Work",
    "current_traceparent",
    "exemplar",
    "inject_trace_context",
    "listen",
    "logger",
    "metrics",
    "run",
    "serve_http",
    "span",
    "span_from",
]
