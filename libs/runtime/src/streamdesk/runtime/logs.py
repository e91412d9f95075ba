"""Logs: one JSON object a line, or lines for a person on a terminal.

What libraries log through the standard library takes the same road. Secrets are taken out of
the finished line, wherever they came from.
"""

import json
import logging
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO, cast

from pydantic import SecretStr

if not TYPE_CHECKING and "structlog" not in sys.modules:
    # structlog imports rich wherever it is installed, for tracebacks that we never print: a fifth
    # of what a process costs to start. Nothing else is kept from importing it.
    rich = sys.modules.get("rich")
    sys.modules["rich"] = None
    import structlog

    del sys.modules["rich"]
    if rich is not None:
        sys.modules["rich"] = rich
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from streamdesk.runtime.redis_url import passwords_of
from streamdesk.runtime.settings import ServiceSettings
from streamdesk.runtime.tracing import current_ids

SHORTEST_SECRET = 4  # a shorter one would be found inside ordinary words
# A line for each start, slot or request; their warnings stay.
QUIET = ("uvicorn", "uvicorn.error", "uvicorn.access", "apscheduler", "httpx")


def logger(name: str) -> FilteringBoundLogger:
    """A logger for a module: `log.info("signal sent", symbol="AAPL.US")`.

    Args:
        name: the service, or the part of it, that speaks.
    """
    return cast("FilteringBoundLogger", structlog.get_logger(name))


def configure_logs(service: str, settings: ServiceSettings, stream: TextIO | None = None) -> None:
    """Send everything that is logged to one stream, in one shape.

    Args:
        service: its name.
        settings: level, format, and the secrets that no line may hold.
        stream: where to; None is standard output. A command whose output is for programs names
            standard error.
    """
    stream = stream or sys.stdout
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    as_console = settings.log_format == "console" or (
        settings.log_format == "auto" and stream.isatty()
    )
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace_ids,
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        _WithoutSecrets(
            secrets_of(settings),
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=_renderers(service, settings.instance, as_console=as_console),
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _renderers(service: str, instance: str, *, as_console: bool) -> list[Processor]:
    without_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if as_console:
        # A plain traceback: the rich one prints local variables, secrets among them.
        plain = structlog.dev.plain_traceback
        console = structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(), exception_formatter=plain
        )
        return [without_meta, console]

    def in_reading_order(_log: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        head = {name: event.pop(name, None) for name in ("timestamp", "level", "event")}
        return {**head, "service": service, "instance": instance, **event}

    return [
        without_meta,
        structlog.processors.format_exc_info,
        in_reading_order,
        structlog.processors.JSONRenderer(),
    ]


def _add_trace_ids(_log: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    ids = current_ids()
    if ids is not None:
        event["trace_id"], event["span_id"] = ids
    return event


class _WithoutSecrets(structlog.stdlib.ProcessorFormatter):
    """Renders a line, then takes every secret out of it."""

    def __init__(self, secrets: Iterable[str], **options: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(**options)
        self._secrets = sorted(secrets, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        for secret in self._secrets:
            if secret in line:
                line = line.replace(secret, "***")
        return line


def secrets_of(settings: ServiceSettings) -> set[str]:
    """Every secret value in the settings, also as JSON and as a URL would show it.

    Of a URL only the password is secret: where a server is may be logged.
    """
    found: set[str] = set()
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            text = value.get_secret_value()
            found |= passwords_of(text) if "://" in text else {text}
    found |= {json.dumps(secret)[1:-1] for secret in found}
    return {secret for secret in found if len(secret) >= SHORTEST_SECRET}
