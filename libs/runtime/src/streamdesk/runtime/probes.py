"""/metrics, /livez and /readyz.

Alive: the event loop turns (otherwise there is no answer) and no task has crashed.
Ready: started, not draining, and every check of the service says yes.
"""

import time
from collections.abc import Callable
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from streamdesk.runtime import metrics
from streamdesk.runtime.drain import Drain

Check = Callable[[], bool]
LOOP_LAG_PERIOD_SECONDS = 1.0


class Health:
    """What the probes answer from.

    Args:
        drain: a process that drains is not ready.
    """

    def __init__(self, drain: Drain) -> None:
        self._drain = drain
        self._checks: dict[str, Check] = {}
        self.started = False
        self.crashed: str | None = None

    def add(self, name: str, check: Check) -> None:
        """Not ready unless `check` says yes; a check that raises says no."""
        self._checks[name] = check

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether traffic may come, and why or why not."""
        checks = {name: _ask(check) for name, check in self._checks.items()}
        draining = self._drain.requested.is_set()
        ready = self.started and not draining and all(value is True for value in checks.values())
        metrics.PROCESS_READY.set(ready)
        body = {"ready": ready, "started": self.started, "draining": draining, "checks": checks}
        return ready, body


def _ask(check: Check) -> bool | str:
    try:
        return bool(check())
    except Exception as error:  # noqa: BLE001 - a broken check is an answer: no, because
        return repr(error)


def probe_app(health: Health) -> Starlette:
    """The three pages."""

    async def livez(_request: Request) -> Response:
        alive = health.crashed is None
        body = {"alive": alive, "crashed": health.crashed}
        return JSONResponse(body, status_code=200 if alive else 503)

    async def readyz(_request: Request) -> Response:
        ready, body = health.readiness()
        return JSONResponse(body, status_code=200 if ready else 503)

    async def exposition(request: Request) -> Response:
        health.readiness()
        # Who asks for OpenMetrics, as Prometheus does, gets the exemplars, too.
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(REGISTRY), media_type=content_type)

    return Starlette(
        routes=[
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/metrics", exposition),
        ]
    )


async def watch_loop_lag(drain: Drain) -> None:
    """Measure how late the event loop wakes up, until the drain."""
    while True:
        before = time.perf_counter()
        if await drain.sleep(LOOP_LAG_PERIOD_SECONDS):
            return
        late = time.perf_counter() - before - LOOP_LAG_PERIOD_SECONDS
        metrics.PROCESS_LOOP_LAG.set(max(late, 0.0))
