"""`streamdesk job`: runs a job of the desk once."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from streamdesk.console.adapters import desk_bus
from streamdesk.console.adapters.folder import Folder
from streamdesk.console.adapters.service_command import Line, run_job
from streamdesk.console.adapters.terminal.job_view import JobView, print_report
from streamdesk.console.adapters.terminal.output import print_json, stdout
from streamdesk.console.domain.up_options import DATA
from streamdesk.console.entrypoints.cli.lazy import new_app
from streamdesk.console.entrypoints.cli.options import DataOption, JsonOption, UrlOption
from streamdesk.console.errors import NoDeskError, UsageError

MODULE = "streamdesk.analysis"
SIMULATED = "simulated"

app = new_app("Run a job of the desk once.")


class StockMarket(StrEnum):
    """Markets whose stocks can be computed alone."""

    US = "US"
    HK = "HK"
    CRYPTO = "CRYPTO"


@app.callback()
def job() -> None:
    """Run a job of the desk once."""


MarketOption = Annotated[
    StockMarket | None,
    typer.Option(case_sensitive=False, help="Only this market.", show_default="all"),
]
SimulateOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=20_000,
        help="Try it with so many simulated stocks, in a store of their own.",
        show_default=False,
    ),
]
FreshOption = Annotated[
    bool, typer.Option("--fresh", help="Begin a new run, even if one of today is unfinished.")
]


@app.command("indicators")
def indicators(
    market: MarketOption = None,
    simulate: SimulateOption = None,
    fresh: FreshOption = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> int:
    """Compute the nine daily indicators of every stock of the bar store.

    SMA 5, 10, 20 and 60, MACD, RSI, Bollinger bands, ATR and KDJ. A run that was interrupted
    today is resumed: no stock is computed twice. Results are Parquet files beside the bars.
    """
    store = _store(simulate, data)
    server = _server(url, data)
    arguments = [MODULE, "indicators"]
    arguments += ["--market", market.value] if market is not None else []
    arguments += ["--simulate", str(simulate)] if simulate is not None else []
    arguments += ["--fresh"] if fresh else []
    environment = {"BAR_STORE_FOLDER": str(store), **server}
    if as_json:
        report = run_job(arguments, environment, lambda _: None)
        print_json({name: value for name, value in report.items() if name != "kind"})
    else:
        first = f"making {simulate:,} simulated stocks" if simulate else "reading bars"
        report = _watched(arguments, environment, first)
        print_report(stdout(), report, has_bus="REDIS_URL" in server)
    return 0 if report["succeeded"] else 1


def _watched(arguments: list[str], environment: dict[str, str], first: str) -> Line:
    console = stdout()
    try:
        with JobView(console, first) as view:
            return run_job(arguments, environment, view.show)
    except KeyboardInterrupt:
        console.print("Interrupted. The same command resumes where it was.")
        raise


def _store(simulate: int | None, data: Path) -> Path:
    folder = Folder(data)
    if simulate is not None:
        return folder.root / SIMULATED / str(simulate)
    named = os.environ.get("BAR_STORE_FOLDER")
    store = Path(named) if named else folder.bars
    if not store.is_dir():
        raise UsageError(
            f"there is no bar store in {store}: `streamdesk up` fills one there, BAR_STORE_FOLDER "
            "names another, and `streamdesk job indicators --simulate 5000` tries the job at once"
        )
    return store


def _server(url: str | None, data: Path) -> dict[str, str]:
    try:
        return {"REDIS_URL": desk_bus.find_redis_url(url, data), "REDIS_ENABLED": "true"}
    except NoDeskError:
        return {"REDIS_ENABLED": "false"}
