"""`streamdesk doctor`."""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from streamdesk.bus.address import parse_address
from streamdesk.console import config
from streamdesk.console.adapters.folder import Folder
from streamdesk.console.adapters.http_questions import checked
from streamdesk.console.adapters.redis_questions import named
from streamdesk.console.adapters.terminal import doctor_view
from streamdesk.console.adapters.terminal.output import print_json, stdout
from streamdesk.console.application.doctor.examination import Patient, examine
from streamdesk.console.application.doctor.ledger_reader import ledger_url
from streamdesk.console.domain.finding import Finding, chosen, exit_code, worst
from streamdesk.console.domain.state import DeskState
from streamdesk.console.domain.up_options import DATA
from streamdesk.console.entrypoints.cli.options import DataOption, JsonOption, UrlOption
from streamdesk.console.errors import UsageError
from streamdesk.runtime import BadSettingError, ServiceSettings
from streamdesk.runtime.settings_report import load

TIMEOUT_SECONDS = 15.0


def doctor(
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="An area (redis) or a check (redis.clock); may be repeated.", show_default="all"
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 3 when there are warnings.")
    ] = False,
    service: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="Address of a service's probes, as http://host:9464; may be repeated.",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="Longest wait for all answers.")
    ] = TIMEOUT_SECONDS,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> int:
    """Check a running installation, and say what to do about what is wrong.

    Looks at the desk that runs in this folder, or at the server of --url or REDIS_URL; at the
    ledger of LEDGER_URL, and at PROMETHEUS_URL, ALERTMANAGER_URL and ALERT_RELAY_URL where they are
    set. Changes nothing. The exit code is 1 when something failed.
    """
    try:
        wanted = chosen(word for words in only or () for word in words.split(","))
    except ValueError as error:
        raise UsageError(f"--only is {error}") from None
    patient = _patient(url, data, service or [], os.environ)

    async def work() -> int:
        begun = time.monotonic()
        findings = await examine(patient, wanted, timeout)
        seconds = time.monotonic() - begun
        if as_json:
            print_json(_as_dict(findings, patient.url, seconds))
        else:
            title = f"doctor: {_where(patient.url)}"
            stdout().print(doctor_view.report(findings, title, seconds))
        return exit_code(findings, strict=strict)

    return asyncio.run(work())


def _as_dict(findings: Sequence[Finding], url: str, seconds: float) -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(),
        "where": _where(url),
        "status": worst(finding.status for finding in findings),
        "seconds": round(seconds, 3),
        "checks": [asdict(finding) for finding in findings],
    }


def _patient(url: str | None, data: Path, services: list[str], given: Mapping[str, str]) -> Patient:
    """What there is to look at.

    Raises:
        UsageError: no server is named and no desk runs here, or an address is none.
        BusConfigError: the Redis URL cannot be read.
    """
    folder = Folder(data)
    state = folder.read() if folder.is_held() else None
    chosen_url = url or _redis_url(given) or (state.redis_url if state else None)
    if chosen_url is None:
        raise UsageError(
            f"no desk runs in {folder.root}, and neither --url nor REDIS_URL names a server"
        )
    if chosen_url.startswith("memory:"):
        raise UsageError("memory:// lives inside one process; name a server that can be asked")
    parse_address(chosen_url)
    if state is not None and state.redis_url != chosen_url:
        state = None  # the desk here is another one
    return Patient(
        url=chosen_url,
        state=state,
        ledger=ledger_url(folder.ledger, given.get("LEDGER_URL") or None)
        if state
        else given.get("LEDGER_URL") or None,
        environment=given,
        fetcher=_told(state, "news-fetcher", given),
        gateway=_told(state, "websocket-gateway", given),
        services=[checked("--service", one) for one in services],
        prometheus=_address(given, "PROMETHEUS_URL"),
        alertmanager=_address(given, "ALERTMANAGER_URL"),
        relay=_address(given, "ALERT_RELAY_URL"),
    )


def _redis_url(given: Mapping[str, str]) -> str | None:
    """As REDIS_URL says, or REDIS_HOST and what goes with it."""
    if config.redis_url(given) or not given.get("REDIS_HOST"):
        return config.redis_url(given)
    try:
        return load(ServiceSettings).redis_url.get_secret_value()
    except BadSettingError as error:
        raise UsageError(str(error)) from None


def _told(state: DeskState | None, name: str, given: Mapping[str, str]) -> Mapping[str, str]:
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


def _where(url: str) -> str:
    """The server, without login and parameters."""
    address = parse_address(url)
    if address.service:
        return f"{address.service} behind {', '.join(map(named, address.hosts))}"
    return named(address.hosts[0]) if address.hosts else address.path
