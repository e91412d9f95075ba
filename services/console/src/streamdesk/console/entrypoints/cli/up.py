"""`streamdesk up`."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from streamdesk.console.adapters.folder import Folder
from streamdesk.console.adapters.terminal import tables
from streamdesk.console.adapters.terminal.output import print_json, stdout
from streamdesk.console.application.detach_desk import detach_desk
from streamdesk.console.domain.counts import Result
from streamdesk.console.domain.up_options import DATA, NEWS_SAMPLE, NewsSourceName, UpOptions
from streamdesk.console.entrypoints.cli.options import DataOption, recording_of

RunDesk = Callable[[UpOptions, Console], Coroutine[Any, Any, Result]]
"""Brings a desk up, watches it, ends it: wired by the factory, found in the context."""

ExecutorsOption = Annotated[int, typer.Option(min=1, max=64, help="Order executors.")]
SpeedOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="Bars a second of each instrument; 0: as fast as they are taken.",
        show_default="1 simulated, 10 recorded",
    ),
]
BarsOption = Annotated[
    Path | None,
    typer.Option(
        help="Recorded bars for the simulated market: CSV or Parquet, file or folder, or the "
        "folder of a bar store.",
        show_default=False,
    ),
]
SymbolsOption = Annotated[
    str, typer.Option(help="Instruments, as in AAPL.US,700.HK.", show_default="watchlist")
]
NewsOption = Annotated[
    NewsSourceName | None,
    typer.Option(
        case_sensitive=False,
        help="Where news comes from; eodhd needs EODHD_API_KEY.",
        show_default="simulated",
    ),
]
NewsRecordingOption = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="Recorded news: a file or folder of JSON lines, or `sample`, which comes along. "
        "Implies --news recorded.",
        show_default=NEWS_SAMPLE,
    ),
]
SecondsOption = Annotated[
    float | None,
    typer.Option(
        min=1,
        help="End after so long; the last line is the result as JSON.",
        show_default=False,
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(min=0, help="Seed of the simulated market and news.", show_default="1"),
]
PortOption = Annotated[
    int | None,
    typer.Option(
        min=1, max=65_535, help="Port of the page.", show_default="8080, or the next free one"
    ),
]
KeepOption = Annotated[
    bool,
    typer.Option("--keep/--fresh", help="Continue with the last run's data, or start anew."),
]
DetachOption = Annotated[bool, typer.Option("--detach", "-d", help="Run in the background.")]


def up(
    context: typer.Context,
    executors: ExecutorsOption = 1,
    speed: SpeedOption = None,
    bars: BarsOption = None,
    symbols: SymbolsOption = "",
    news: NewsOption = None,
    news_recording: NewsRecordingOption = None,
    seconds: SecondsOption = None,
    seed: SeedOption = None,
    port: PortOption = None,
    data: DataOption = DATA,
    keep: KeepOption = False,
    detach: DetachOption = False,
) -> int:
    """Bring the whole desk up on this machine, until Ctrl-C.

    Needs nothing but this package: it starts a Redis server of its own unless REDIS_URL names one.
    """
    recording = recording_of(news, news_recording, "--news-recording")
    options = UpOptions(
        executors=executors,
        speed=speed,
        bars=_recorded_bars(bars, Folder(data), keep=keep),
        symbols=tuple(word.strip() for word in symbols.split(",") if word.strip()),
        news=NewsSourceName.RECORDED if recording else news,
        news_recording=recording,
        seconds=seconds,
        seed=seed,
        port=port,
        data=data,
        keep=keep,
    )
    return _detach(options) if detach else _run(options, context.obj)


def _recorded_bars(bars: Path | None, folder: Folder, *, keep: bool) -> Path | None:
    """The recorded bars as services find them, in whatever folder they run.

    Raises:
        BadParameter: there are none, or the desk would remove them before it plays them.
    """
    if bars is None:
        return None
    if not bars.exists():
        raise typer.BadParameter(f"{bars} does not exist", param_hint="--bars")
    if not keep and bars.resolve().is_relative_to(folder.bars.resolve()):
        why = f"{bars} is removed when a run starts anew: copy it and name the copy, or add --keep"
        raise typer.BadParameter(why, param_hint="--bars")
    return bars.absolute()


def _run(options: UpOptions, run_desk: RunDesk) -> int:
    result = asyncio.run(run_desk(options, stdout()))
    if options.seconds is not None:
        print_json(result.as_dict())
    return 1 if result.errors else 0


def _detach(options: UpOptions) -> int:
    arguments = [word for word in sys.argv[1:] if word not in ("-d", "--detach")]
    state = detach_desk(Folder(options.data), arguments)
    console = stdout()
    console.print(tables.status(state))
    console.print("`streamdesk status` shows this again, `streamdesk down` ends it.")
    return 0
