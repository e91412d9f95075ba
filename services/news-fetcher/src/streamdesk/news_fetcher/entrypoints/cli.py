"""`python -m streamdesk.news_fetcher fetch`: one round now, and what came of it as JSON lines."""

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

import uvloop

from streamdesk.bus import BusConfigError
from streamdesk.contracts.events import NewsFetched
from streamdesk.news_fetcher.adapters.notices import SERVICE
from streamdesk.news_fetcher.application.fetch_once import FetchParts, OnceResult, fetch_once
from streamdesk.news_fetcher.config import Settings
from streamdesk.runtime import BadSettingError
from streamdesk.runtime.logs import configure_logs
from streamdesk.runtime.settings_report import load

EXIT_FAILED = 1
EXIT_BAD_SETTING = 2
EXIT_INTERRUPTED = 130

OpenParts = Callable[
    [Settings, Callable[[NewsFetched], None]], AbstractAsyncContextManager[FetchParts]
]
"""Opens the parts of one fetch; the callable gets every article that is new in the topic."""


def main(arguments: Sequence[str], open_parts: OpenParts) -> int:
    """Fetch once. Exit codes: 0; 1 when something failed; 2 for a bad setting; 130 interrupted.

    Args:
        arguments: of the command line, after `fetch`.
        open_parts: wires what fetching needs.
    """
    argparse.ArgumentParser(
        prog="python -m streamdesk.news_fetcher fetch",
        description="Asks the source once, now, with the settings of the environment, and "
        "publishes what is new. Prints one JSON line for each article that it published, then one "
        "that sums up. A key that was refused before is tried again.",
    ).parse_args(arguments)
    try:
        settings = load(Settings)
        configure_logs(SERVICE, settings)
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setStream(sys.stderr)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_fetch(settings, open_parts))
    except (BadSettingError, BusConfigError) as error:
        return _complain(error, EXIT_BAD_SETTING)
    except BrokenPipeError:
        return _complain("the output is not read any more; ended", EXIT_FAILED)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _complain("interrupted; what was published is known", EXIT_INTERRUPTED)


def _complain(problem: object, code: int) -> int:
    sys.stderr.write(f"{SERVICE}: {problem}\n")
    return code


async def _fetch(settings: Settings, open_parts: OpenParts) -> int:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    if task is not None:
        # Of both: a shell lets what it starts in the background ignore Ctrl-C.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
    async with open_parts(settings, _show) as parts:
        return _sum_up(await fetch_once(parts, settings.bus_lease_seconds))


def _show(article: NewsFetched) -> None:
    sys.stdout.write(article.model_dump_json(exclude_defaults=True) + "\n")
    sys.stdout.flush()


def _sum_up(once: OnceResult) -> int:
    result = once.round
    summary: dict[str, object] = {
        "fetched": result.fetched,
        "published": result.published,
        "duplicates": result.duplicates,
        "invalid": dict(result.rejected),
        "failed": result.failed,
        "calls": once.calls,
        "calls_left": once.calls_left,
    }
    why = result.broken or ("" if result.error is None else str(result.error))
    if why:
        summary["error"] = why
    sys.stdout.write(json.dumps(summary) + "\n")
    sys.stdout.flush()
    return EXIT_FAILED if why else 0
