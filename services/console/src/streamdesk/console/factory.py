"""Wires a desk: the only place where its objects are made."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping

from rich.console import Console

from streamdesk.console import config
from streamdesk.console.adapters.desk_bus import connect, topics
from streamdesk.console.adapters.folder import Folder
from streamdesk.console.adapters.ports import any_free, is_free, next_free
from streamdesk.console.adapters.processes.guard import Guard
from streamdesk.console.adapters.processes.supervisor import Program, Supervisor
from streamdesk.console.adapters.redis_server import find_server, server_command
from streamdesk.console.adapters.terminal.progress import Progress
from streamdesk.console.application.count_events import Tally
from streamdesk.console.application.run_desk import SERVER, DeskPlan, LocalDesk, RedisProcess, Stop
from streamdesk.console.domain.counts import Result
from streamdesk.console.domain.services import LOOPBACK, replay_notes, services
from streamdesk.console.domain.up_options import UpOptions
from streamdesk.console.errors import UsageError


async def run_desk(options: UpOptions, console: Console) -> Result:
    """Bring a desk up, watch it, end it.

    Raises:
        ConsoleError: it cannot run; one line says why.
    """
    folder, progress = Folder(options.data), Progress(console)
    with folder.held() as lock:
        if not options.keep:
            folder.wipe()
            folder.make()
        plan = make_plan(options, folder, os.environ)
        guard = Guard(inherit=(lock,))
        await guard.start()
        try:
            return await _run(plan, folder, guard, progress)
        finally:
            await guard.close()


async def _run(plan: DeskPlan, folder: Folder, guard: Guard, progress: Progress) -> Result:
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.ask)
    supervisor = Supervisor(guard)
    async with connect(plan.redis_url) as bus:
        tally = Tally(bus, topics())
        desk = LocalDesk(plan, folder, supervisor, bus, tally, progress)
        supervisor.changed = desk.changed
        return await desk.run(stop)


def make_plan(options: UpOptions, folder: Folder, given: Mapping[str, str]) -> DeskPlan:
    """What the desk will consist of.

    Raises:
        UsageError: no Redis server is available, or none that processes can share, or the wanted
            port is taken.
    """
    named = config.redis_url(given)
    if named and named.startswith("memory:"):
        raise UsageError(
            "REDIS_URL=memory:// lives inside one process and a desk has several; "
            "unset it and the desk brings its own server"
        )
    server = None if named else _own_server(folder)
    redis_url = named or f"redis://{LOOPBACK}:{server.port if server else 0}/0"
    page_port = _page_port(options)
    analysis_port = _analysis_port(given, page_port)
    specs = services(
        options,
        redis_url=redis_url,
        page_port=page_port,
        analysis_port=analysis_port,
        ledger=folder.ledger,
        bars=folder.bars,
        run=folder.run_name(),
        given=given,
    )
    programs = [
        Program(
            spec.name,
            (sys.executable, "-m", spec.module),
            folder.log(spec.name),
            spec.environment,
        )
        for spec in specs
    ]
    return DeskPlan(
        server=server,
        services=programs,
        page=f"http://localhost:{page_port}",
        analysis=f"http://localhost:{analysis_port}{config.ANALYSIS_PREFIX}",
        redis_url=redis_url,
        since="$" if named or options.keep else "0",
        seconds=options.seconds,
        notes=replay_notes(options, given),
    )


def _own_server(folder: Folder) -> RedisProcess:
    port = any_free()
    command = server_command(find_server(folder.programs), port, folder.redis)
    return RedisProcess(Program(SERVER, command, folder.log(SERVER)), port)


def _page_port(options: UpOptions) -> int:
    if options.port is None:
        return next_free(config.PAGE_PORT)
    if not is_free(options.port):
        raise UsageError(
            f"port {options.port} is taken; name another with --port, or leave it out "
            "for the next free one"
        )
    return options.port


def _analysis_port(given: Mapping[str, str], page_port: int) -> int:
    """The port that ANALYSIS_PORT names, or a free one; the service reports an invalid name."""
    named = given.get("ANALYSIS_PORT", "")
    if named.isdigit() and int(named):
        return int(named)
    # The page's own port still looks free here: its service has not started.
    first = page_port + 1 if page_port == config.ANALYSIS_PORT else config.ANALYSIS_PORT
    return next_free(first)
