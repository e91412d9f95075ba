"""`streamdesk trading`: the kill switch, canceling and closing all, and what needs a person."""

import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from streamdesk.console.adapters.service_command import Line
from streamdesk.console.adapters.terminal import trading_view
from streamdesk.console.adapters.terminal.output import print_json, stdout
from streamdesk.console.domain.up_options import DATA
from streamdesk.console.entrypoints.cli.executor import ask_executor, run_executor
from streamdesk.console.entrypoints.cli.lazy import new_app
from streamdesk.console.entrypoints.cli.options import DataOption, JsonOption
from streamdesk.console.errors import UsageError

WAIT_SECONDS = 60.0
ReasonOption = Annotated[
    str | None,
    typer.Option(
        "--reason", help="Why: shown with the status and on the page.", show_default=False
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]

WaitOption = Annotated[
    float, typer.Option("--wait", min=0, help="Seconds to wait for the executors.")
]

app = new_app("Halt, reduce and resume trading; cancel, close and settle orders; lift locks.")


@app.command("halt")
def halt(
    reason: ReasonOption = None,
    cancel: Annotated[
        bool, typer.Option("--cancel-all", help="Cancel what is left of every order, too.")
    ] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
    data: DataOption = DATA,
) -> int:
    """Send nothing from now on, by any executor of the account: no entry, no exit, no stop.

    An order that is on its way to the broker at that moment is waited for, and shown. Orders that
    the broker has are finished, unless they are canceled. A stop that is crossed meanwhile is
    remembered, and sells after `resume` or `reduce`.
    """
    reason = _stop("halt", "send nothing, no stop losses either", reason, data, yes, as_json)
    return _ask_for("cancel-all", reason, data, WAIT_SECONDS, as_json) if cancel else 0


@app.command("reduce")
def reduce(
    reason: ReasonOption = None,
    close: Annotated[bool, typer.Option("--close-all", help="Sell every position, too.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
    data: DataOption = DATA,
) -> int:
    """Send exits alone from now on, by any executor of the account: sells and protective exits."""
    if close:
        _confirm(_what_closes(data), yes)
    reason = _stop("reduce", "send exits alone", reason, data, yes, as_json)
    return _ask_for("close-all", reason, data, WAIT_SECONDS, as_json) if close else 0


@app.command("cancel-all")
def cancel_all(
    reason: ReasonOption = None,
    wait: WaitOption = WAIT_SECONDS,
    yes: YesOption = False,
    as_json: JsonOption = False,
    data: DataOption = DATA,
) -> int:
    """Cancel what is left of every order, entries and exits; positions stay.

    The executors do it, whichever of them dies. A position whose exit is canceled is left again at
    the next bar that is through its stop. The exit code is 1 unless all is done within --wait.
    """
    equity = _equity(data)
    _confirm(f"Cancel what is left of {equity['open_orders']} orders?", yes)
    return _ask_for("cancel-all", reason or "", data, wait, as_json)


@app.command("close-all")
def close_all(
    reason: ReasonOption = None,
    wait: WaitOption = WAIT_SECONDS,
    yes: YesOption = False,
    as_json: JsonOption = False,
    data: DataOption = DATA,
) -> int:
    """Cancel what is left of every entry, and sell every position.

    The executors do it, whichever of them dies, at the market's price within the limit on slippage,
    again at each bar that leaves the limit behind. New entries are stopped by `reduce --close-all`
    alone. While trading is halted nothing can be sold. The exit code is 1 unless all is done within
    --wait.
    """
    _confirm(_what_closes(data), yes)
    return _ask_for("close-all", reason or "", data, wait, as_json)


@app.command("resume")
def resume(yes: YesOption = False, as_json: JsonOption = False, data: DataOption = DATA) -> int:
    """Send entries and exits again; what is left of `cancel-all` and `close-all` is withdrawn."""
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
) -> str:
    if reason is None and sys.stdin.isatty():
        reason = typer.prompt("Reason")
    if not (reason or "").strip():
        raise UsageError(f"say why, for those who find trading stopped: {command} --reason WHY")
    _confirm(f"From now on, {what}?", yes)
    _show(ask_executor([command, "--reason", reason or ""], data), as_json=as_json)
    return reason or ""


def _equity(data: Path) -> Line:
    """The account's figures, for what a person is about to confirm."""
    found: list[Line] = []
    ended = run_executor(
        ["ledger", "equity"],
        data,
        lambda line: found.append(line["row"]) if line["kind"] == "equity" else None,
    )
    if ended.code != 0:
        raise ended.error("the ledger", "be read")
    return found[0]


def _what_closes(data: Path) -> str:
    equity = _equity(data)
    worth = f"{Decimal(equity['positions_value']):,} {equity['currency']}"
    return (
        f"Sell {equity['positions']} positions worth {worth}, and cancel what is left of entries "
        f"({equity['open_orders']} orders are open)?"
    )


def _ask_for(command: str, reason: str, data: Path, wait: float, as_json: bool) -> int:
    view = trading_view.RequestView(stdout(), silent=as_json)
    words = [command, "--reason", reason, "--wait", str(wait)]
    ended = run_executor(words, data, view.show)
    if ended.last.get("kind") != "report":
        raise ended.error(f"`trading {command}`", "be done")
    if as_json:
        print_json({name: value for name, value in ended.last.items() if name != "kind"})
    else:
        view.end(ended.last)
    return 0 if ended.code == 0 else 1


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


@app.command("locks")
def locks(as_json: JsonOption = False, data: DataOption = DATA) -> int:
    """Show the locks of entries: which limit on loss or protection, and until when."""
    found = ask_executor(["locks"], data)["locks"]
    if as_json:
        print_json(found)
    elif found:
        stdout().print(trading_view.locks(found))
    else:
        stdout().print("no locks: entries are accepted", highlight=False)
    return 0


@app.command("unlock")
def unlock(
    numbers: Annotated[
        list[int] | None, typer.Argument(help="Of the locks, as `locks` shows.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Lift every lock.")] = False,
    as_json: JsonOption = False,
    data: DataOption = DATA,
) -> int:
    """Lift locks of entries; the loss behind one is measured from the present equity then."""
    if bool(numbers) == every:
        raise UsageError("say which locks: their numbers, or --all")
    words = ["--all"] if every else [str(number) for number in numbers or ()]
    lifted = ask_executor(["unlock", *words], data)["lifted"]
    if as_json:
        print_json(lifted)
    else:
        stdout().print(f"{len(lifted)} lifted", highlight=False)
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
    for line in trading_view.notes(report):
        stdout().print(line, highlight=False)
    return 0
