"""`streamdesk up`, `status` and `down`."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from streamdesk.console import config, factory
from streamdesk.console.adapters.folder import Folder
from streamdesk.console.adapters.log_reader import last_words
from streamdesk.console.adapters.terminal import tables
from streamdesk.console.adapters.terminal.output import print_json, stdout
from streamdesk.console.domain.state import DeskState
from streamdesk.console.domain.up_options import DATA, NEWS_SAMPLE, NewsSourceName, UpOptions
from streamdesk.console.entrypoints.cli.options import DataOption, JsonOption, recording_of
from streamdesk.console.errors import ConsoleError, DeskFailedError

POLL_SECONDS = 0.1
DETACH_SECONDS = 60.0
DOWN_SECONDS = config.STOP_SECONDS + 5  # it ends within its own limit, unless the machine is busy


def up(
    executors: Annotated[int, typer.Option(min=1, max=64, help="Order executors.")] = 1,
    speed: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Bars a second of each instrument; 0: as fast as they are taken.",
            show_default="1 simulated, 10 recorded",
        ),
    ] = None,
    bars: Annotated[
        Path | None,
        typer.Option(
            help="Recorded bars for the simulated market: CSV or Parquet, file or folder, or the "
            "folder of a bar store.",
            show_default=False,
        ),
    ] = None,
    symbols: Annotated[
        str, typer.Option(help="Instruments, as in AAPL.US,700.HK.", show_default="watchlist")
    ] = "",
    news: Annotated[
        NewsSourceName | None,
        typer.Option(
            case_sensitive=False,
            help="Where news comes from; eodhd needs EODHD_API_KEY.",
            show_default="simulated",
        ),
    ] = None,
    news_recording: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Recorded news: a file or folder of JSON lines, or `sample`, which comes along. "
            "Implies --news recorded.",
            show_default=NEWS_SAMPLE,
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="End after so long; the last line is the result as JSON.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Seed of the simulated market and news.", show_default="1"),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65_535, help="Port of the page.", show_default="8080, or the next free one"
        ),
    ] = None,
    data: DataOption = DATA,
    keep: Annotated[
        bool, typer.Option("--keep/--fresh", help="Go on with the last run's data, or start anew.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Run in the background.")] = False,
) -> int:
    """Bring the whole desk up on this machine, until Ctrl-C.

    Needs nothing but this package: it starts a Redis server of its own unless REDIS_URL names one.
    """
    if bars is not None and not bars.exists():
        raise typer.BadParameter(f"{bars} does not exist", param_hint="--bars")
    if bars is not None and not keep and bars.resolve().is_relative_to(Folder(data).bars.resolve()):
        why = f"{bars} is removed when a run starts anew: copy it and name the copy, or add --keep"
        raise typer.BadParameter(why, param_hint="--bars")
    recording = recording_of(news, news_recording, "--news-recording")
    if detach:
        return _detach(Folder(data))
    options = UpOptions(
        executors=executors,
        speed=speed,
        bars=bars.absolute() if bars else None,
        symbols=tuple(word.strip() for word in symbols.split(",") if word.strip()),
        news=NewsSourceName.RECORDED if recording else news,
        news_recording=recording,
        seconds=seconds,
        seed=seed,
        port=port,
        data=data,
        keep=keep,
    )
    result = asyncio.run(factory.run_desk(options, stdout()))
    if seconds is not None:
        print_json(result.as_dict())
    return 1 if result.errors else 0


def _detach(folder: Folder) -> int:
    """Run the same command without `--detach` in a session of its own; wait until it is up."""
    with folder.held():
        pass  # says so here, and not in a log, when a desk runs already
    folder.forget()
    arguments = [word for word in sys.argv[1:] if word not in ("-d", "--detach")]
    with folder.up_log.open("wb") as log:
        child = subprocess.Popen(  # noqa: S603 - this very command again
            [sys.executable, "-m", "streamdesk.console", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    state = _wait_until_up(folder, child)
    console = stdout()
    console.print(tables.status(state))
    console.print("`streamdesk status` shows this again, `streamdesk down` ends it.")
    return 0


def _wait_until_up(folder: Folder, child: subprocess.Popen[bytes]) -> DeskState:
    deadline = time.monotonic() + DETACH_SECONDS
    while True:
        state = folder.read()
        if state and state.pid == child.pid and state.status == "up":
            return state
        if child.poll() is not None:
            words = last_words(folder.up_log).removeprefix("streamdesk: ")
            raise DeskFailedError(words)
        if time.monotonic() > deadline:
            raise DeskFailedError(
                f"the desk is not up after {DETACH_SECONDS:g} s; see `streamdesk status` "
                f"and {folder.up_log}"
            )
        time.sleep(POLL_SECONDS)


def status(data: DataOption = DATA, as_json: JsonOption = False) -> None:
    """Show the processes of the desk that runs in this folder."""
    state = Folder(data).running()
    if as_json:
        print_json(state.model_dump(mode="json", exclude={"redis_url"}))
    else:
        stdout().print(tables.status(state))


def down(data: DataOption = DATA) -> None:
    """End the desk that runs in this folder."""
    folder = Folder(data)
    state = folder.running()
    begun = time.monotonic()
    if not _ends(folder, state.pid, signal.SIGTERM) and not _ends(
        folder,
        state.pid,
        signal.SIGKILL,  # its watchdog ends the services
    ):
        raise ConsoleError(f"process {state.pid} does not end; see {folder.logs}")
    stdout().print(f"The desk has ended, in {time.monotonic() - begun:.1f} s.", highlight=False)


def _ends(folder: Folder, pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # its watchdog is still at work
    except PermissionError:
        raise ConsoleError(f"process {pid} belongs to somebody else; ask them to end it") from None
    deadline = time.monotonic() + DOWN_SECONDS
    while folder.is_held():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
