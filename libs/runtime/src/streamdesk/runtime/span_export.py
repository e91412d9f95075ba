"""Exports spans by OpenTelemetry's SDK: half a second and 20 MB, so only while tracing is on."""

import os
import threading

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

CLOSE_TIMEOUT = "OTEL_BSP_EXPORT_TIMEOUT"
CLOSE_MS = 5000
"""Longest that the end of a process waits for a collector that does not answer; OpenTelemetry's
own default, 30 s, is longer than a process may take."""


class SpanExport:
    """Makes spans and exports them.

    Args:
        service: the spans' `service.name`.
        instance: their `service.instance.id`.
    """

    def __init__(self, service: str, instance: str) -> None:
        attributes = {
            "service.namespace": "streamdesk",
            "service.name": service,
            "service.instance.id": instance,
        }
        self._provider = TracerProvider(
            resource=Resource.create(attributes), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self.tracer = self._provider.get_tracer("streamdesk")
        wanted = os.environ.get(CLOSE_TIMEOUT, "")
        self._close_seconds = (int(wanted) if wanted.isdigit() else CLOSE_MS) / 1000

    def close(self) -> None:
        """Send what is pending; wait a few seconds at most for a collector that does not answer."""
        # The provider's own shutdown takes as long as the exporter's time-out, at least.
        sender = threading.Thread(target=self._provider.shutdown, daemon=True)
        sender.start()
        sender.join(self._close_seconds)
