"""Settings of the command: ports, time limits, and the server that the environment names."""

import os
from collections.abc import Mapping

PAGE_PORT = 8080
ANALYSIS_PORT = 5000
ANALYSIS_PREFIX = "/api/gainer-analysis"

STOP_SECONDS = 5.0  # the promise: from Ctrl-C to the end of the last process
SERVICES_STOP_SECONDS = 3.5  # of them for the services, before they are killed
SERVER_STOP_SECONDS = 0.8  # and for the Redis server, which ends last


def redis_url(environment: Mapping[str, str] = os.environ) -> str | None:
    """The server that REDIS_URL names; None when it is not set, or set but empty."""
    return environment.get("REDIS_URL") or None
