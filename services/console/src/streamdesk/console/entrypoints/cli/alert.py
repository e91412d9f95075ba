"""`streamdesk alert`: tries the way that alerts take to people."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.markup import escape

from streamdesk.console.adapters import desk_bus
from streamdesk.console.adapters.service_command import run_service_command
from streamdesk.console.adapters.terminal.output import print_json, stdout
from streamdesk.console.domain.up_options import DATA
from streamdesk.console.entrypoints.cli.lazy import new_app
from streamdesk.console.entrypoints.cli.options import DataOption, JsonOption, UrlOption

MODULE = "streamdesk.alert_relay"

app = new_app("Send a test alert the way that alerts take to people.")


class TestSeverity(StrEnum):
    """Of a test alert."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@app.callback()
def alert() -> None:
    """Try the way that alerts take to people."""


@app.command("test")
def send_test(
    severity: Annotated[
        TestSeverity,
        typer.Option(case_sensitive=False, help="It decides which people are mentioned."),
    ] = TestSeverity.INFO,
    resolved: Annotated[bool, typer.Option("--resolved", help="Then its resolution.")] = False,
    direct: Annotated[
        bool,
        typer.Option("--direct", help="Straight to the robot of DINGTALK_URL: no relay, no Redis."),
    ] = False,
    wait: Annotated[
        float, typer.Option(min=1, max=3_600, metavar="SECONDS", help="For it to arrive.")
    ] = 90.0,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> int:
    """Send a test alert, and say whether it arrived.

    It takes the queue of the alert relay that runs, and keeps its pace; --direct tries the robot's
    settings before anything runs.
    """
    arguments = [MODULE, "test", "--severity", severity.value, "--wait", f"{wait:g}"]
    arguments += ["--resolved"] if resolved else []
    arguments += ["--direct"] if direct else []
    environment = {} if direct else {"REDIS_URL": desk_bus.find_redis_url(url, data)}
    ended = run_service_command(arguments, environment, lambda _: None)
    report = ended.last
    if report.get("kind") != "report":
        raise ended.error("the test alert")
    if as_json:
        print_json({name: value for name, value in report.items() if name != "kind"})
    elif report["succeeded"]:
        stdout().print(f"[green]✓[/] arrived after {report['seconds']} s", highlight=False)
    else:
        said = escape(report["why"])
        stdout().print(f"[red]✗[/] {said}", highlight=False, soft_wrap=True)
    return 0 if report["succeeded"] else 1
