"""`streamdesk ledger`: what the desk ordered, traded, holds and is worth."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from streamdesk.console.adapters.csv_files import CsvFiles, CsvStream
from streamdesk.console.adapters.service_command import Line
from streamdesk.console.adapters.terminal import ledger_view
from streamdesk.console.adapters.terminal.output import print_json, stdout
from streamdesk.console.domain.moments import EXPECTED, moment
from streamdesk.console.domain.up_options import DATA
from streamdesk.console.entrypoints.cli.executor import run_executor
from streamdesk.console.entrypoints.cli.lazy import new_app
from streamdesk.console.entrypoints.cli.options import DataOption, JsonOption
from streamdesk.console.errors import UsageError

ROWS_SHOWN = 50
OnLine = Callable[[Line], None]


class LedgerRows(StrEnum):
    """What can be exported."""

    ORDERS = "orders"
    FILLS = "fills"
    POSITIONS = "positions"
    CASH = "cash"
    EQUITY = "equity"


SymbolOption = Annotated[
    str | None, typer.Option("--symbol", help="Only this one.", show_default=False)
]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", help=f"From when on: {EXPECTED}.", show_default=False),
]
LimitOption = Annotated[
    int | None,
    typer.Option(
        "--limit",
        min=1,
        help=f"The newest so many; without it {ROWS_SHOWN} in a table, all with --json.",
        show_default=False,
    ),
]

app = new_app("Show orders, fills, positions, equity and cash; check and export the books.")


@app.command("orders")
def orders(
    symbol: SymbolOption = None,
    since: SinceOption = None,
    limit: LimitOption = None,
    as_json: JsonOption = False,
    data: DataOption = DATA,
) -> int:
    """Show orders, the newest last: what was wanted, what was filled, and why it ended."""
    return _show("orders", _filters(symbol, since), limit, data, as_json=as_json)


@app.command("fills")
def fills(
    symbol: SymbolOption = None,
    since: SinceOption = None,
    limit: LimitOption = None,
    as_json: JsonOption = False,
    data: DataOption = DATA,
) -> int:
    """Show trades as they were booked: price, fee, cash, gain."""
    return _show("fills", _filters(symbol, since), limit, data, as_json=as_json)


@app.command("positions")
def positions(
    symbol: SymbolOption = None, as_json: JsonOption = False, data: DataOption = DATA
) -> int:
    """Show what is held, at the last price that was seen, with its stops."""
    return _show("positions", _filters(symbol, None), None, data, as_json=as_json)


@app.command("cash")
def cash(
    symbol: SymbolOption = None,
    since: SinceOption = None,
    limit: LimitOption = None,
    as_json: JsonOption = False,
    data: DataOption = DATA,
) -> int:
    """Show what came into the account and what went out, with the balance after it."""
    return _show("cash", _filters(symbol, since), limit, data, as_json=as_json)


@app.command("equity")
def equity(as_json: JsonOption = False, data: DataOption = DATA) -> int:
    """Show what the account is worth, its gains, and its losses against the limits."""

    def print_row(line: Line) -> None:
        if line["kind"] != "equity":
            return
        if as_json:
            print_json(line["row"])
        else:
            stdout().print(ledger_view.equity(line["row"]))

    _ask(["equity"], data, print_row)
    return 0


@app.command("check")
def check(as_json: JsonOption = False, data: DataOption = DATA) -> int:
    """Recompute the books from the fills, compare them with the broker's; 1 unless they agree.

    Everything is read. What differs is looked at again after five seconds, as trading continues
    meanwhile.
    """
    ended = run_executor(["ledger", "check"], data)
    if ended.last.get("kind") != "report":
        raise ended.error("the ledger", "be checked")
    found = ended.last["findings"]
    if as_json:
        print_json({"balanced": ended.last["balanced"], "findings": found})
    elif found:
        stdout().print(ledger_view.findings(found))
        stdout().print(f"[bold red]The books differ[/] in {len(found):,} places.", highlight=False)
    else:
        stdout().print(
            "[green]The books are balanced[/]: cash, positions and gains follow from the fills, "
            "and every order and fill is as the broker has it.",
            highlight=False,
        )
    return 0 if ended.last["balanced"] else 1


@app.command("export")
def export(
    what: Annotated[
        list[LedgerRows] | None, typer.Argument(help="What; all without.", show_default=False)
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--to",
            help="Folder for one file each, as in orders.csv. Without it one of them goes to "
            "standard output.",
            show_default=False,
        ),
    ] = None,
    symbol: SymbolOption = None,
    since: SinceOption = None,
    data: DataOption = DATA,
) -> int:
    """Write rows as CSV, all of one moment: amounts exact, times with their zone."""
    kinds = [str(kind) for kind in what or LedgerRows]
    filters = _filters(symbol, since)
    if folder is not None:
        _export_to(folder, kinds, filters, data)
    elif len(kinds) == 1:
        _export_here(kinds[0], filters, data)
    else:
        raise UsageError(
            "say where to, as in `ledger export --to FOLDER`, or what, as in `ledger export orders`"
        )
    return 0


def _export_to(folder: Path, kinds: list[str], filters: list[str], data: Path) -> None:
    with CsvFiles(folder) as files:

        def take(line: Line) -> None:
            if line["kind"] == "columns":
                files.begin(line["of"], line["columns"])
            elif line["kind"] in kinds:
                files.add(line["kind"], line["row"])

        counts = _ask([*kinds, *filters], data, take)
        for path in files.keep():
            stdout().print(f"{path}: {counts[path.stem]['shown']:,} rows", highlight=False)


def _export_here(kind: str, filters: list[str], data: Path) -> None:
    streams: list[CsvStream] = []

    def take(line: Line) -> None:
        if line["kind"] == "columns":
            streams.append(CsvStream(sys.stdout, line["columns"]))
        elif line["kind"] == kind:
            streams[0].add(line["row"])

    _ask([kind, *filters], data, take)


def _show(kind: str, filters: list[str], limit: int | None, data: Path, *, as_json: bool) -> int:
    if limit is None and not as_json and kind != "positions":
        limit = ROWS_SHOWN
    if limit is not None:
        filters = [*filters, "--limit", str(limit)]
    view = ledger_view.RowsView(stdout(), kind)

    def print_row(line: Line) -> None:
        if line["kind"] == kind:
            print_json(line["row"]) if as_json else view.add(line["row"])

    counts: dict[str, Any] = _ask([kind, *filters], data, print_row)[kind]
    if not as_json:
        view.end(counts["shown"], counts["there_are"], kind)
    return 0


def _ask(words: list[str], data: Path, on_line: OnLine) -> Line:
    ended = run_executor(["ledger", *words], data, on_line)
    if ended.code != 0:
        raise ended.error("the ledger", "be read")
    return ended.last


def _filters(symbol: str | None, since: str | None) -> list[str]:
    found = [] if symbol is None else ["--symbol", symbol]
    if since is not None:
        found += ["--since", moment("--since", since, datetime.now(UTC)).isoformat()]
    return found
