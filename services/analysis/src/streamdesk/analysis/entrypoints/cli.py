"""`python -m streamdesk.analysis indicators`: runs the daily job once.

Standard output is one JSON object a line, distinguished by `kind`: `making` and `filled` (simulated
stocks are made, and are in the store), `progress`, and at the end `report`. Logs go to standard
error.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import uvloop

from streamdesk.analysis.application.daily_job.fill_simulated import MOST, fill
from streamdesk.analysis.application.daily_job.run_job import IndicatorsJob
from streamdesk.analysis.config import Settings
from streamdesk.analysis.domain.job import JobProgress, JobReport
from streamdesk.analysis.errors import JobError
from streamdesk.bus import BusConfigError
from streamdesk.market.errors import StoreError
from streamdesk.market.instruments import CURRENCIES
from streamdesk.market.store import BarStore
from streamdesk.runtime import BadSettingError
from streamdesk.runtime.logs import configure_logs
from streamdesk.runtime.settings_report import load

NAME = "analysis"
EXIT_FAILED = 1
EXIT_BAD_SETTING = 2
EXIT_INTERRUPTED = 130

StoreOf = Callable[[Settings], BarStore]
OpenJob = Callable[[Settings, BarStore], AbstractAsyncContextManager[IndicatorsJob]]


def main(arguments: Sequence[str], store_of: StoreOf, open_job: OpenJob) -> int:
    """Run the job; returns the exit code.

    0: there are results, though single stocks may have failed; 1: there are none, or the job could
    not run; 2: a bad setting or argument; 130: interrupted.

    Args:
        arguments: of the command line, after `indicators`.
        store_of: opens the bar store that the settings name.
        open_job: makes the job of a store, with its connections.
    """
    options = _options(arguments)
    try:
        settings = load(Settings)
        store = store_of(settings)
        configure_logs(NAME, settings, sys.stderr)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            report = runner.run(_run(settings, store, open_job, options))
    except (BadSettingError, BusConfigError) as error:
        return _complain(error, EXIT_BAD_SETTING)
    except (JobError, StoreError) as error:
        return _complain(error, EXIT_FAILED)
    except BrokenPipeError:
        return _complain("the output was closed by its reader; ended", EXIT_FAILED)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _complain("interrupted; the same command resumes where it was", EXIT_INTERRUPTED)
    _print("report", asdict(report) | {"succeeded": report.succeeded})
    return 0 if report.succeeded else EXIT_FAILED


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m streamdesk.{NAME} indicators",
        description="Computes the daily indicators of all stocks of the bar store "
        "(BAR_STORE_FOLDER), or resumes an interrupted run of today.",
    )
    parser.add_argument("--market", choices=list(CURRENCIES), help="only stocks of this market")
    parser.add_argument("--fresh", action="store_true", help="always begin a new run")
    parser.add_argument("--run-id", help="the run to begin or to resume")
    parser.add_argument(
        "--simulate",
        type=int,
        metavar="N",
        default=0,
        help="first fill the store with a year of daily bars of N simulated stocks",
    )
    options = parser.parse_args(arguments)
    if not 0 <= options.simulate <= MOST:
        parser.error(f"--simulate {options.simulate}: expected 1 to {MOST}")
    return options


async def _run(
    settings: Settings, store: BarStore, open_job: OpenJob, options: argparse.Namespace
) -> JobReport:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    if task is not None:
        # Both signals: a shell starts background processes with Ctrl-C ignored.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
    if options.simulate:
        bars = await fill(
            store,
            options.simulate,
            seed=settings.feed_seed,
            clock=lambda: datetime.now(UTC),
            on_made=lambda made: _print("making", {"done": made, "total": options.simulate}),
        )
        _print("filled", {"stocks": options.simulate, "bars": bars, "folder": str(store.folder)})
    async with open_job(settings, store) as job:
        run_id = options.run_id or job.next_run_id(options.market, fresh=options.fresh)
        return await job.run(run_id, market=options.market, on_progress=_tell)


def _tell(progress: JobProgress) -> None:
    _print("progress", asdict(progress))


def _print(kind: str, values: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"kind": kind, **values}) + "\n")
    sys.stdout.flush()


def _complain(problem: object, code: int) -> int:
    sys.stderr.write(f"{NAME}: {problem}\n")
    return code
