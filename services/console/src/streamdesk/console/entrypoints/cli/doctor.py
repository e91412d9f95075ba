"""`streamdesk doctor`."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from streamdesk.console.adapters.folder import Folder
from streamdesk.console.adapters.terminal import doctor_view
from streamdesk.console.adapters.terminal.output import print_json, stdout
from streamdesk.console.application.doctor.examination import examine
from streamdesk.console.application.doctor.installation import find_installation
from streamdesk.console.domain.finding import Finding, chosen, exit_code, worst
from streamdesk.console.domain.up_options import DATA
from streamdesk.console.entrypoints.cli.options import DataOption, JsonOption, UrlOption
from streamdesk.console.errors import UsageError

TIMEOUT_SECONDS = 15.0
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        help="An area (redis) or a check (redis.clock); may be repeated.", show_default="all"
    ),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Exit code 3 when there are warnings.")
]
ServiceOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="URL",
        help="Address of a service's probes, as http://host:9464; may be repeated.",
        show_default=False,
    ),
]
TimeoutOption = Annotated[
    float, typer.Option(min=1, metavar="SECONDS", help="Longest wait for all answers.")
]


def doctor(
    only: OnlyOption = None,
    strict: StrictOption = False,
    service: ServiceOption = None,
    timeout: TimeoutOption = TIMEOUT_SECONDS,
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
    installation = find_installation(url, Folder(data), service or [], os.environ)
    begun = time.monotonic()
    findings = asyncio.run(examine(installation, wanted, timeout))
    seconds = time.monotonic() - begun
    if as_json:
        print_json(_as_dict(findings, installation.where, seconds))
    else:
        title = f"doctor: {installation.where}"
        stdout().print(doctor_view.report(findings, title, seconds))
    return exit_code(findings, strict=strict)


def _as_dict(findings: Sequence[Finding], where: str, seconds: float) -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(),
        "where": where,
        "status": worst(finding.status for finding in findings),
        "seconds": round(seconds, 3),
        "checks": [asdict(finding) for finding in findings],
    }
