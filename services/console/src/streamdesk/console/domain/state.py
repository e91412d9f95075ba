"""What a running desk says about itself, in `state.json`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class ServiceState(BaseModel):
    """One process.

    Attributes:
        name: of the service, with a number where there are several.
        pid: process id; None while it waits for its restart.
        state: `waiting` is between a death and the restart.
        since: when that state began, seconds since 1970.
        ready: what /readyz said last; None for what has no such page.
        restarts: how often it was started again.
        port: of its probes, or of the server.
        log: file with its output.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    pid: int | None
    state: Literal["running", "waiting", "stopped"]
    since: float
    ready: bool | None
    restarts: int
    port: int | None
    log: str


class DeskState(BaseModel):
    """A desk.

    Attributes:
        pid: process id of `streamdesk up`.
        status: `up` once every service was ready.
        started_at: seconds since 1970.
        page: address of the page.
        analysis: address of the analysis API.
        redis_url: of the server; the file is readable by its owner alone.
        services: in the order of the flow.
    """

    model_config = ConfigDict(frozen=True)

    pid: int
    status: Literal["starting", "up", "stopping"]
    started_at: float
    page: str
    analysis: str
    redis_url: str
    services: tuple[ServiceState, ...]
