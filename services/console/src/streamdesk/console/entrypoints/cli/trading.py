"""`streamdesk trading`: the kill switch, and orders that need a person."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from streamdesk.console.adapters.service_command import Line
from streamdesk.console.adapters.terminal.output import print_json, stdout
from streamdesk.console.domain.up_options import DATA
from streamdesk.console.entrypoints.cli.executor import ask_executor
from streamdesk.console.entrypoints.cli.lazy import new_app
from streamdesk.console.entrypoints.cli.options import DataOption, JsonOption
from streamdesk.console.errors import UsageError

ReasonOption = Annotated[
    str | None,
    typer.Option(
        "--reason", help="Why: shown with the status and on the page.", show_default=False
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]

app = new_app("Halt, reduce and resume trading; settle what the broker contradicts.")


@app.command("halt")
def halt(
    reason: ReasonOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
    data: DataOption = DATA,
) -> int:
    """Send nothing from now on, by any executor of the account: no entry, no exit, no stop.

    Once this command has returned, no order is sent that the broker does not have. Orders that it
    has are finished. A stop that is crossed meanwhile is remembered, and sells after `resume` or
    `reduce`.
    """
    return _stop("halt", "send nothing, no stop losses either", reason, data, yes, as_json)


@app.command("reduce")
def reduce(
    reason: ReasonOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
    data: DataOption = DATA,
) -> int:
    """Send exits alone from now on, by any executor of the account: sells and protective exits."""
    return _stop("reduce", "send exits alone", reason, data, yes, as_json)


@app.command("resume")
def resume(yes: YesOption = False, as_json: JsonOption = False, data: DataOption = DATA) -> int:
    """Send entries and exits again."""
    _confirm("Send entries and exits again?", yes)
    return _show(ask_executor(["resume"], data), as_json=as_json)


@app.command("status")
def status(as_json: JsonOption = False, data: DataOption = DATA) -> int:
    """Say what is sent, and why; the exit code is 1 unless all of it is."""
    report = ask_executor(["status"], data)
    _show(report, as_json=as_json)
    return 0 if report["state"] == "ACTIVE" else 1


def _stop(
    command: str,
    what: str,
    reason: str | None,
    data: Path,
    yes: bool,
    as_json: bool,
) -> int:
    if reason is None and sys.stdin.isatty():
        reason = typer.prompt("Reason")
    if not (reason or "").strip():
        raise UsageError(f"say why, for those who find trading stopped: {command} --reason WHY")
    _confirm(f"From now on, {what}?", yes)
    return _show(ask_executor([command, "--reason", reason or ""], data), as_json=as_json)


def _confirm(question: str, yes: bool) -> None:
    """Ask on a terminal; a script has said what it wants."""
    if not yes and sys.stdin.isatty() and not typer.confirm(question):
        raise UsageError("nothing was changed")


@app.command("resolve")
def resolve(
    order_id: Annotated[str, typer.Argument(help="Client order id, as in the alert.")],
    reason: Annotated[
        str, typer.Option("--reason", help="Kept with the order.", show_default=False)
    ] = "",
    as_json: JsonOption = False,
    data: DataOption = DATA,
) -> int:
    """End an order that the broker contradicts, and unlock its symbol.

    For an order that is dead at the broker by its own list of orders: it will not be executed. Cash
    and symbol are free again; a trade that the broker reports later is booked all the same.
    """
    report = ask_executor(["resolve", order_id, "--reason", reason], data)
    if as_json:
        print_json({name: value for name, value in report.items() if name != "kind"})
    else:
        stdout().print(
            f"Order {escape(report['order'])} is {report['state']}; "
            f"{escape(report['symbol'])} is not locked any more.",
            highlight=False,
        )
    return 0


@app.command("adopt")
def adopt(
    trade_id: Annotated[str, typer.Argument(help="The broker's id of the trade, as in the alert.")],
    as_json: JsonOption = False,
    data: DataOption = DATA,
) -> int:
    """Book a trade that the desk did not order: its cash and its position become the desk's.

    The position has no stop. A sell of what the desk does not hold cannot be adopted.
    """
    return _show_settled(ask_executor(["adopt", trade_id], data), as_json=as_json)


@app.command("ignore")
def ignore(
    trade_id: Annotated[str, typer.Argument(help="The broker's id of the trade, as in the alert.")],
    reason: Annotated[
        str, typer.Option("--reason", help="Kept with the trade.", show_default=False)
    ] = "",
    as_json: JsonOption = False,
    data: DataOption = DATA,
) -> int:
    """Leave a trade that the desk did not order out of the books."""
    return _show_settled(
        ask_executor(["ignore", trade_id, "--reason", reason], data), as_json=as_json
    )


def _show_settled(report: Line, *, as_json: bool) -> int:
    if as_json:
        print_json({name: value for name, value in report.items() if name != "kind"})
    else:
        text = f"Trade {report['trade']} {report['symbol']} is {report['state'].lower()}."
        stdout().print(escape(text), highlight=False)
    return 0


WORDS = {
    "HALTED": "[bold red]Trading is halted[/]{since}: {reason}. Nothing is sent.",
    "REDUCING": "[bold yellow]Trading is reduced to exits[/]{since}: {reason}. "
    "Buy orders are refused, sells and protective exits are sent.",
    "ACTIVE": "[bold green]Trading is open.[/]",
}


def _show(report: Line, *, as_json: bool) -> int:
    if as_json:
        print_json({name: value for name, value in report.items() if name != "kind"})
        return 0
    since = ""
    if "since" in report:
        since = f" since {datetime.fromisoformat(report['since']).astimezone():%Y-%m-%d %H:%M:%S}"
    text = WORDS[report["state"]].format(since=since, reason=escape(report.get("reason", "")))
    stdout().print(text, highlight=False)
    if "waits_for_ledger" in report:
        waits = (
            f"The ledger is unavailable ({escape(report['waits_for_ledger'])}). Nothing is sent "
            "meanwhile; the executors do this before they trade again."
        )
        stdout().print(waits, highlight=False)
    return 0
