"""`python -m streamdesk.news_fetcher fetch`: one round now, and what came of it as JSON lines."""

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import sys
from collections.abc import AsyncIterator, Sequence

import uvloop

from streamdesk.bus import Bus, BusConfig, BusConfigError, BusError, Wait
from streamdesk.contracts.events import NewsFetched
from streamdesk.news_fetcher.adapters.notices import SERVICE
from streamdesk.news_fetcher.adapters.redis_state import StateKeeper
from streamdesk.news_fetcher.config import Settings
from streamdesk.news_fetcher.domain.round_result import RoundResult
from streamdesk.news_fetcher.errors import KeyRefusedError, LeaseLostError
from streamdesk.news_fetcher.factory import FetchParts, parts_of, utc_now
from streamdesk.runtime import BadSettingError, Drain
from streamdesk.runtime.logs import configure_logs
from streamdesk.runtime.settings_report import load

EXIT_FAILED = 1
EXIT_BAD_SETTING = 2
EXIT_INTERRUPTED = 130

PUBLISH_TIMEOUT_SECONDS = 10.0  # somebody waits
RENEWALS_A_LEASE = 4

ANOTHER = "another fetcher is active: it fetches on its schedule; stop it to fetch by hand"
NO_SERVER = "redis does not answer; nothing was asked"


def main(arguments: Sequence[str]) -> int:
    """Fetch once. Exit codes: 0; 1 when something failed; 2 for a bad setting; 130 interrupted.

    Args:
        arguments: of the command line, after `fetch`.
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
            return runner.run(_fetch(settings))
    except (BadSettingError, BusConfigError) as error:
        return _complain(error, EXIT_BAD_SETTING)
    except BrokenPipeError:
        return _complain("nobody reads the output any more; ended", EXIT_FAILED)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _complain("interrupted; what was published is known", EXIT_INTERRUPTED)


def _complain(problem: object, code: int) -> int:
    sys.stderr.write(f"{SERVICE}: {problem}\n")
    return code


async def _fetch(settings: Settings) -> int:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    if task is not None:
        # Of both: a shell lets what it starts in the background ignore Ctrl-C.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
    config = BusConfig(
        **settings.bus_config(SERVICE, Wait), publish_timeout_seconds=PUBLISH_TIMEOUT_SECONDS
    )
    bus = Bus.connect(config)
    async with parts_of(settings, bus, _show) as parts:
        if not await parts.keeper.lead():
            why = ANOTHER if bus.connected else NO_SERVER
            return _sum_up(parts, RoundResult(broken=why), calls=0)
        async with _kept(parts.keeper, settings.bus_lease_seconds):
            return await _round(parts)


@contextlib.asynccontextmanager
async def _kept(keeper: StateKeeper, lease_seconds: float) -> AsyncIterator[None]:
    """Renew the lease inside the block; give it back at its end."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(lease_seconds / RENEWALS_A_LEASE)
            await keeper.lead()

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.wait({renewing})
        await keeper.leave()


async def _round(parts: FetchParts) -> int:
    kept, quota = parts.keeper.state.quota, parts.source.quota
    if quota is not None and kept is not None:
        with contextlib.suppress(ValueError):  # unreadable: counted anew
            quota.restore(kept)
    before = 0 if quota is None else quota.used
    result = await parts.rounds.round(Drain())
    await _remember_the_key(parts, result)
    return _sum_up(parts, result, calls=0 if quota is None else max(0, quota.used - before))


async def _remember_the_key(parts: FetchParts, result: RoundResult) -> None:
    """A key that works again is one that the service asks with again, too."""
    refused = isinstance(result.stop, KeyRefusedError)
    if parts.key is None or result.broken or (result.failed and not refused):
        return
    key = parts.key if refused else None
    try:
        await parts.keeper.write(lambda state: state.with_refused_key(key))
    except (BusError, LeaseLostError) as error:
        result.broken = str(error)


def _show(article: NewsFetched) -> None:
    sys.stdout.write(article.model_dump_json(exclude_defaults=True) + "\n")
    sys.stdout.flush()


def _sum_up(parts: FetchParts, result: RoundResult, *, calls: int) -> int:
    quota = parts.source.quota
    summary: dict[str, object] = {
        "fetched": result.fetched,
        "published": result.published,
        "duplicates": result.duplicates,
        "invalid": dict(result.rejected),
        "failed": result.failed,
        "calls": calls,
        "calls_left": None if quota is None else quota.left(utc_now()),
    }
    why = result.broken or ("" if result.error is None else str(result.error))
    if why:
        summary["error"] = why
    sys.stdout.write(json.dumps(summary) + "\n")
    sys.stdout.flush()
    return EXIT_FAILED if why else 0
