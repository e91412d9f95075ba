"""What there is to examine: from options, the environment, and the desk that runs here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamdesk.bus import BusConfigError
from streamdesk.bus.connection import Address, parse_address
from streamdesk.console import config
from streamdesk.console.adapters.folder import Folder
from streamdesk.console.adapters.http_questions import checked
from streamdesk.console.adapters.redis_questions import named
from streamdesk.console.application.doctor.ledger import ledger_url
from streamdesk.console.domain.state import DeskState
from streamdesk.console.errors import UsageError


@dataclass(frozen=True, slots=True)
class Installation:
    """A running installation, as far as it is known here.

    Args:
        url: of the Redis server.
        state: of the desk that runs here; None without one.
        ledger: the ledger's URL; None where none is known.
        environment: the variables that are set here.
        fetcher: those of the news fetcher.
        gateway: those of the gateway.
        services: addresses of services' probes, beside the desk's.
        prometheus: its address, or None.
        alertmanager: its address, or None.
        relay: address of the alert relay's probes, or None.
    """

    url: str
    state: DeskState | None
    ledger: str | None
    environment: Mapping[str, str]
    fetcher: Mapping[str, str]
    gateway: Mapping[str, str]
    services: Sequence[str] = ()
    prometheus: str | None = None
    alertmanager: str | None = None
    relay: str | None = None

    @property
    def where(self) -> str:
        """The Redis server, without login and parameters."""
        address = parse_address(self.url)
        if address.service:
            return f"{address.service} behind {', '.join(map(named, address.hosts))}"
        return named(address.hosts[0]) if address.hosts else address.path


def find_installation(
    url: str | None, folder: Folder, services: Sequence[str], given: Mapping[str, str]
) -> Installation:
    """What the options and the environment name, and the desk of this folder if it is that one.

    Args:
        url: of the Redis server; None for what the environment names, or the desk here.
        folder: where a desk may run.
        services: addresses of services' probes.
        given: the variables that are set here.

    Raises:
        UsageError: no server is named and no desk runs here, or an address is none.
    """
    state = folder.read() if folder.is_held() else None
    chosen = url or _redis_url(given) or (state.redis_url if state else None)
    if chosen is None:
        raise UsageError(
            f"no desk runs in {folder.root}, and neither --url nor REDIS_URL names a server"
        )
    _parsed(chosen)
    if state is not None and state.redis_url != chosen:
        state = None  # the desk here uses another server: nothing of it says anything of that one
    ledger = given.get("LEDGER_URL") or None
    return Installation(
        url=chosen,
        state=state,
        ledger=ledger_url(folder.ledger, ledger) if state else ledger,
        environment=given,
        fetcher=_environment_of(state, "news-fetcher", given),
        gateway=_environment_of(state, "websocket-gateway", given),
        services=[checked("--service", one) for one in services],
        prometheus=_address(given, "PROMETHEUS_URL"),
        alertmanager=_address(given, "ALERTMANAGER_URL"),
        relay=_address(given, "ALERT_RELAY_URL"),
    )


def _parsed(url: str) -> Address:
    if url.startswith("memory:"):
        raise UsageError("memory:// lives inside one process; name a server that can be asked")
    try:
        return parse_address(url)
    except BusConfigError as error:
        raise UsageError(str(error)) from error


def _redis_url(given: Mapping[str, str]) -> str | None:
    """As REDIS_URL says, or REDIS_HOST and what belongs to it."""
    if config.redis_url(given) or not given.get("REDIS_HOST"):
        return config.redis_url(given)
    # The settings that all services share know how REDIS_HOST, REDIS_PORT … make a URL.
    from streamdesk.runtime import BadSettingError, ServiceSettings  # noqa: PLC0415 - costs half a second, and REDIS_HOST is rarely set
    from streamdesk.runtime.settings_report import load  # noqa: PLC0415 - imports the runtime

    try:
        return load(ServiceSettings).redis_url.get_secret_value()
    except BadSettingError as error:
        raise UsageError(str(error)) from None


def _environment_of(
    state: DeskState | None, name: str, given: Mapping[str, str]
) -> Mapping[str, str]:
    """The variables of a service of the desk, as far as the system shows them; else ours."""
    pid = next((row.pid for row in state.services if row.name == name), None) if state else None
    try:
        lines = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return given
    words = [line.decode(errors="replace").partition("=") for line in lines if b"=" in line]
    return {name: value for name, _, value in words}


def _address(given: Mapping[str, str], name: str) -> str | None:
    return checked(name, given[name]) if given.get(name) else None
