"""`streamdesk trading`: the kill switch, and orders that need a person."""

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from streamdesk.console.adapters.folder import Folder
from streamdesk.console.adapters.service_command import Line, run_service_command
from streamdesk.console.adapters.terminal.output import print_json, stdout
from streamdesk.console.domain.services import ledger_urls
from streamdesk.console.domain.up_options import DATA
from streamdesk.console.entrypoints.cli.lazy import new_app
from streamdesk.console.entrypoints.cli.options import DataOption, JsonOption
from streamdesk.console.errors import UsageError

MODULE = "streamdesk.order_executor"

app = new_app("Halt trading and resume it; settle what the broker contradicts.")


@app.command("halt")
def halt(
    reason: Annotated[
        str, typer.Option("--reason", help="Shown with the status.", show_default=False)
    ] = "",
    as_json: JsonOption = False,
    data: DataOption = DATA,
) -> int:
    """Refuse every buy order from now on, by all executors of the account.

    Once this command has returned, no buy order is placed. Sell orders and protective exits
    continue, and orders that were placed before are finished.
    """
    return _show(_executor(["halt", "--reason", reason], data), as_json=as_json)


@app.command("resume")
def resume(as_json: JsonOption = False, data: DataOption = DATA) -> int:
    """Accept buy orders again."""
    return _show(_executor(["resume"], data), as_json=as_json)


@app.command("status")
def status(as_json: JsonOption = False, data: DataOption = DATA) -> int:
    """Say whether trading is halted; the exit code is 1 while it is."""
    report = _executor(["status"], data)
    _show(report, as_json=as_json)
    return 1 if report["halted"] else 0


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
    report = _executor(["resolve", order_id, "--reason", reason], data)
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
    return _show_settled(_executor(["adopt", trade_id], data), as_json=as_json)


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
    return _show_settled(_executor(["ignore", trade_id, "--reason", reason], data), as_json=as_json)


def _show_settled(report: Line, *, as_json: bool) -> int:
    if as_json:
        print_json({name: value for name, value in report.items() if name != "kind"})
    else:
        text = f"Trade {report['trade']} {report['symbol']} is {report['state'].lower()}."
        stdout().print(escape(text), highlight=False)
    return 0


def _executor(arguments: list[str], data: Path) -> Line:
    folder = Folder(data)
    if not os.environ.get("LEDGER_URL") and not (folder.ledger / "ledger.db").exists():
        raise UsageError(
            f"there is no ledger in {folder.ledger}: `streamdesk up` makes one there, LEDGER_URL "
            "names another"
        )
    urls = ledger_urls(folder.ledger, os.environ)
    ended = run_service_command([MODULE, *arguments], urls, lambda _: None)
    if ended.code != 0:
        raise ended.error("the executor's command")
    return ended.last


def _show(report: Line, *, as_json: bool) -> int:
    if as_json:
        print_json({name: value for name, value in report.items() if name != "kind"})
    elif report["halted"]:
        since = datetime.fromisoformat(report["since"]).astimezone()
        stdout().print(
            f"[bold red]Trading is halted[/] since {since:%Y-%m-%d %H:%M:%S}: "
            f"{escape(report['reason'])}. Buy orders are refused, sell orders are accepted.",
            highlight=False,
        )
    else:
        stdout().print("[bold green]Trading is open.[/]", highlight=False)
    return 0
