"""A desk of tiny programs that behave as services do, on a real server."""

import asyncio
import io
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from streamdesk.console import config, factory
from streamdesk.console.adapters import desk_bus
from streamdesk.console.adapters.folder import Folder
from streamdesk.console.adapters.processes.guard import Guard
from streamdesk.console.adapters.processes.supervisor import Program, Supervisor
from streamdesk.console.adapters.terminal.progress import Progress
from streamdesk.console.application.count_events import Tally
from streamdesk.console.application.run_desk import DeskPlan, LocalDesk, Stop
from streamdesk.console.domain.counts import Result
from streamdesk.console.domain.services import replay_notes, services
from streamdesk.console.domain.up_options import NewsSourceName, UpOptions
from streamdesk.console.errors import DeskFailedError, DeskRunningError, UsageError

Eventually = Callable[[Callable[[], bool]], Awaitable[None]]
Alive = Callable[[int], bool]

SERVICE = """
import http.server, json, signal, sys

class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass

def say(level, event, **fields):
    print(json.dumps({"level": level, "event": event, **fields}), flush=True)

server = http.server.HTTPServer(("127.0.0.1", 0), Ready)
signal.signal(signal.SIGTERM, lambda *_: (say("info", "stopped"), sys.exit(0)))
say("info", "started", probe_port=server.server_port)
exec(sys.argv[1])
server.serve_forever()
"""


@dataclass
class Running:
    """A running desk."""

    folder: Folder
    desk: LocalDesk
    supervisor: Supervisor
    stop: Stop
    out: io.StringIO
    task: asyncio.Task[Result]

    async def end(self) -> Result:
        self.stop.ask()
        return await self.task


OpenDesk = Callable[..., AbstractAsyncContextManager[Running]]


def service(folder: Folder, name: str, line: str = "") -> Program:
    return Program(name, (sys.executable, "-c", SERVICE, line), folder.log(name))


@pytest.fixture
def open_desk(tmp_path: Path) -> OpenDesk:
    @asynccontextmanager
    async def opened(
        *lines: str, seconds: float | None = None, programs: Sequence[Program] = ()
    ) -> AsyncIterator[Running]:
        folder = Folder(tmp_path)
        folder.make()
        base = factory.make_plan(UpOptions(seconds=seconds), folder, {})
        services = [service(folder, f"service-{i}", line) for i, line in enumerate(lines, 1)]
        plan = DeskPlan(
            server=base.server,
            services=[*services, *programs],
            page="http://localhost:1",
            analysis="http://localhost:2",
            redis_url=base.redis_url,
            since="0",
            seconds=seconds,
        )
        guard, out, stop = Guard(), io.StringIO(), Stop()
        await guard.start()
        async with desk_bus.connect(plan.redis_url) as bus:
            supervisor = Supervisor(guard)
            progress = Progress(Console(file=out, width=200))
            desk = LocalDesk(
                plan, folder, supervisor, bus, Tally(bus, desk_bus.topics({})), progress
            )
            supervisor.changed = desk.changed
            task = asyncio.create_task(desk.run(stop))
            try:
                yield Running(folder, desk, supervisor, stop, out, task)
            finally:
                stop.ask()
                await asyncio.gather(task, return_exceptions=True)
                await guard.close()

    return opened


def status_of(running: Running) -> str:
    state = running.folder.read()
    return state.status if state else "none"


async def test_a_desk_says_which_services_are_ready_and_then_where_the_page_is(
    open_desk: OpenDesk, eventually: Eventually
) -> None:
    async with open_desk("", "") as running:
        await eventually(lambda: status_of(running) == "up")
        said = running.out.getvalue()
        for name in ("redis", "service-1", "service-2"):
            assert f"{name:<18} ready" in said
        assert "Page: http://localhost:1" in said
        assert "Analysis: http://localhost:2" in said


async def test_the_state_names_every_process_while_the_desk_runs_and_is_gone_after(
    open_desk: OpenDesk, eventually: Eventually, alive: Alive
) -> None:
    async with open_desk("") as running:
        await eventually(lambda: status_of(running) == "up")
        state = running.folder.read()
        assert state is not None
        assert [s.name for s in state.services] == ["redis", "service-1"]
        pids = [s.pid for s in state.services if s.pid]
        assert len(pids) == 2
        result = await running.end()
        assert running.folder.read() is None
        assert not any(alive(pid) for pid in pids)
        assert (result.errors, result.dead) == (0, 0)
        assert "Every process has ended" in running.out.getvalue()


async def test_a_desk_with_a_time_limit_ends_by_itself(open_desk: OpenDesk) -> None:
    async with open_desk("", seconds=1) as running:
        result = await running.task
    assert result.errors == 0


async def test_error_lines_are_counted_shown_and_named(
    open_desk: OpenDesk, eventually: Eventually
) -> None:
    async with open_desk("say('error', 'task crashed', error='no disk')") as running:
        await eventually(lambda: "service-1: task crashed: no disk" in running.out.getvalue())
        assert (await running.end()).errors == 1


async def test_a_service_that_is_killed_counts_as_an_error_and_comes_back(
    open_desk: OpenDesk, eventually: Eventually
) -> None:
    async with open_desk("") as running:
        await eventually(lambda: status_of(running) == "up")
        child = running.supervisor.children["service-1"]
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)

        def back() -> bool:
            state = running.folder.read()
            return bool(state and state.services[1].restarts == 1 and state.services[1].ready)

        await eventually(back)
        assert "service-1 ended unexpectedly (signal 9)" in running.out.getvalue()
        assert (await running.end()).errors == 1


async def test_the_server_is_started_again_on_its_port_when_it_dies(
    open_desk: OpenDesk, eventually: Eventually
) -> None:
    async with open_desk("") as running:
        await eventually(lambda: status_of(running) == "up")
        server = running.supervisor.children["redis"]
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await eventually(lambda: server.restarts == 1)
        async with desk_bus.connect(running.desk._plan.redis_url) as bus:
            async with asyncio.timeout(60):
                while not await bus.ping():
                    await asyncio.sleep(0.05)


async def test_a_service_with_a_bad_setting_ends_the_desk_with_its_own_words(
    open_desk: OpenDesk,
) -> None:
    line = "sys.stderr.write('thing: SIZE is 7: expected less\\n'); sys.exit(2)"
    async with open_desk("", line) as running:
        with pytest.raises(DeskFailedError, match="SIZE is 7: expected less"):
            await running.task
        assert all(child.pid is None for child in running.supervisor.children.values())


async def test_a_second_ctrl_c_kills_at_once(open_desk: OpenDesk, eventually: Eventually) -> None:
    deaf = "signal.signal(signal.SIGTERM, lambda *_: say('info', 'deaf'))"
    async with open_desk(deaf) as running:
        await eventually(lambda: status_of(running) == "up")
        running.stop.ask()
        await eventually(lambda: "deaf" in running.folder.log("service-1").read_text())
        running.stop.ask()
        await running.task
        assert "killing every process" in running.out.getvalue()


async def test_a_service_that_does_not_end_is_killed_named_and_counted(
    open_desk: OpenDesk, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamdesk.console.application.run_desk.SERVICES_STOP_SECONDS", 0.2)
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    async with open_desk(deaf) as running:
        await eventually(lambda: status_of(running) == "up")
        result = await running.end()
        assert "service-1 did not end in time and was killed" in running.out.getvalue()
        assert result.errors == 1


async def test_a_stopped_server_does_not_hold_up_the_end(
    open_desk: OpenDesk, eventually: Eventually, alive: Alive
) -> None:
    async with open_desk("") as running:
        await eventually(lambda: status_of(running) == "up")
        server = running.supervisor.children["redis"].pid
        assert server is not None
        os.kill(server, signal.SIGSTOP)
        await running.end()
        assert not alive(server)


async def test_a_named_server_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.make()
    plan = factory.make_plan(UpOptions(), folder, {"REDIS_URL": "redis://127.0.0.1:1/0"})
    assert plan.server is None
    assert plan.since == "$"
    guard = Guard()
    await guard.start()
    async with desk_bus.connect(plan.redis_url) as bus:
        out = io.StringIO()
        desk = LocalDesk(
            plan,
            folder,
            Supervisor(guard),
            bus,
            Tally(bus, desk_bus.topics({})),
            Progress(Console(file=out)),
        )
        with pytest.raises(DeskFailedError, match="nothing answers at REDIS_URL"):
            await desk.run(Stop())
    await guard.close()


async def test_a_second_up_in_the_same_folder_touches_nothing(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with folder.held():
        log = folder.log("service-1")
        log.write_text("mine")
        with pytest.raises(DeskRunningError):
            await factory.run_desk(UpOptions(data=tmp_path), Console(file=io.StringIO()))
        assert log.read_text() == "mine"


def test_every_service_has_the_same_bus_and_a_name_of_its_own(tmp_path: Path) -> None:
    plan = factory.make_plan(UpOptions(executors=3, symbols=("AAPL.US",)), Folder(tmp_path), {})
    assert [program.name for program in plan.services] == [
        "signal-generator",
        "order-executor-1",
        "order-executor-2",
        "order-executor-3",
        "news-fetcher",
        "news-filter",
        "analysis",
        "websocket-gateway",
    ]
    for program in plan.services:
        assert program.environment["REDIS_URL"] == plan.redis_url
        assert program.environment["INSTANCE"] == program.name
    executors = [p for p in plan.services if p.name.startswith("order-executor")]
    assert len({p.environment["LEDGER_URL"] for p in executors}) == 1
    assert json.dumps(plan.page).endswith(f'{plan.services[-1].environment["GATEWAY_PORT"]}"')


@pytest.mark.parametrize(
    ("bars", "given", "expected"),
    [(None, {}, "false"), (Path("bars.csv"), {}, None), (None, {"SESSIONS": "true"}, None)],
)
def test_exchanges_hours_do_not_apply_to_the_simulated_market_unless_asked_for(
    tmp_path: Path, bars: Path | None, given: dict[str, str], expected: str | None
) -> None:
    plan = factory.make_plan(UpOptions(bars=bars), Folder(tmp_path), given)
    (executor,) = (p for p in plan.services if p.name == "order-executor")
    assert executor.environment.get("SESSIONS") == expected


def test_limits_on_loss_count_the_seconds_of_a_simulated_market_and_no_recordings(
    tmp_path: Path,
) -> None:
    simulated = factory.make_plan(UpOptions(), Folder(tmp_path), {})
    assert '"stop_minutes": 1' in simulated.services[1].environment["PROTECTIONS"]
    own = factory.make_plan(UpOptions(), Folder(tmp_path), {"PROTECTIONS": "[]"})
    assert "PROTECTIONS" not in own.services[1].environment
    recorded = factory.make_plan(UpOptions(bars=tmp_path), Folder(tmp_path), {})
    assert "PROTECTIONS" not in recorded.services[1].environment


def test_a_person_s_own_ledger_is_not_replaced(tmp_path: Path) -> None:
    given = {"LEDGER_URL": "postgresql+asyncpg://db/desk"}
    plan = factory.make_plan(UpOptions(), Folder(tmp_path), given)
    assert "LEDGER_URL" not in plan.services[1].environment
    assert "PAPER_BROKER_URL" in plan.services[1].environment


def environment_of(
    options: UpOptions, given: dict[str, str] | None = None, service: str = "signal-generator"
) -> dict[str, str]:
    """The environment of one of the services."""
    specs = services(
        options,
        redis_url="redis://x",
        page_port=80,
        analysis_port=5000,
        ledger=Path("ledger"),
        bars=Path("bars"),
        run="run",
        given=given or {},
    )
    (found,) = (spec for spec in specs if spec.name == service)
    return dict(found.environment)


def test_without_options_the_market_is_the_generators_own_but_for_a_longer_past_and_a_trail() -> (
    None
):
    market = {
        name for name in environment_of(UpOptions()) if name.startswith(("FEED", "SYMBOLS", "EXIT"))
    }
    assert market == {"FEED_HISTORY_BARS", "EXIT_TRAIL_ATR"}


def test_options_of_the_simulated_market_reach_the_generator() -> None:
    environment = environment_of(UpOptions(speed=20, seed=7, symbols=("AAPL.US", "700.HK")))
    assert environment["FEED_BARS_PER_SECOND"] == "20"
    assert environment["FEED_SEED"] == "7"
    assert environment["SYMBOLS"] == "AAPL.US,700.HK"


def test_what_is_asked_for_of_news_reaches_the_fetcher_and_wins_over_what_is_set() -> None:
    options = UpOptions(news=NewsSourceName.RECORDED, news_recording="n.jsonl", seed=3)
    environment = environment_of(options, {"NEWS_SOURCE": "eodhd"}, "news-fetcher")
    assert environment["NEWS_SOURCE"] == "recorded"
    assert environment["NEWS_RECORDING"] == "n.jsonl"
    assert environment["NEWS_SEED"] == "3"


def test_where_nothing_is_asked_for_of_news_what_is_set_stays() -> None:
    environment = environment_of(UpOptions(), {"NEWS_SOURCE": "recorded"}, "news-fetcher")
    assert not [name for name in environment if name.startswith("NEWS")]


def test_instruments_are_those_that_news_is_asked_about_and_that_pass() -> None:
    for service in ("news-fetcher", "news-filter"):
        environment = environment_of(UpOptions(symbols=("AAPL.US", "700.HK")), None, service)
        assert environment["NEWS_TICKERS"] == "AAPL.US,700.HK"


def test_recorded_bars_replace_the_simulated_market_at_a_pace_that_can_be_watched() -> None:
    environment = environment_of(UpOptions(bars=Path("/bars.csv")))
    assert (environment["FEED"], environment["FEED_FILE"]) == ("recorded", "/bars.csv")
    assert environment["FEED_SPEED"] == "10"


def test_a_recording_resumes_in_its_folder_and_another_one_is_another_run() -> None:
    names = [environment_of(UpOptions(bars=Path(f"/{n}.csv")))["FEED_RUN"] for n in "aab"]
    assert names == ["run-a.csv", "run-a.csv", "run-b.csv"]
    assert len(environment_of(UpOptions(bars=Path("/" + "x" * 200)))["FEED_RUN"]) == 100
    assert "FEED_RUN" not in environment_of(UpOptions(bars=Path("/a")), {"FEED_RUN": "mine"})
    assert "FEED_RUN" not in environment_of(UpOptions())


def test_a_folder_names_its_run_until_it_is_wiped(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "data")
    first = folder.run_name()
    assert Folder(tmp_path / "data").run_name() == first
    folder.wipe()
    assert folder.run_name() != first


@pytest.mark.parametrize(
    ("options", "given", "note"),
    [
        (UpOptions(), {}, ""),
        (UpOptions(bars=Path("/a")), {}, "Playing /a in step: each time waits for all decisions"),
        (UpOptions(bars=Path("/a"), executors=2), {}, "with one executor the same run would"),
        (UpOptions(bars=Path("/a")), {"FEED_IN_STEP": "no"}, "Playing /a; FEED_IN_STEP=no"),
    ],
)
def test_the_desk_says_how_a_recording_is_played(
    options: UpOptions, given: dict[str, str], note: str
) -> None:
    assert note in " ".join(replay_notes(options, given))
    assert bool(replay_notes(options, given)) == bool(note)


def test_a_pace_given_by_variable_holds_unless_the_option_says_otherwise() -> None:
    given = {"FEED_SPEED": "3"}
    assert "FEED_SPEED" not in environment_of(UpOptions(bars=Path("/b.csv")), given)
    assert environment_of(UpOptions(bars=Path("/b.csv"), speed=0), given)["FEED_SPEED"] == "0"


def test_news_is_filtered_for_the_instruments_that_are_traded() -> None:
    environment = environment_of(UpOptions(symbols=("AAPL.US",)), service="news-filter")
    assert environment["NEWS_TICKERS"] == "AAPL.US"


def test_the_analysis_is_for_this_machine_alone_keeps_bars_and_looks_every_minute() -> None:
    environment = environment_of(UpOptions(), service="analysis")
    assert environment["ANALYSIS_HOST"] == "127.0.0.1"
    assert environment["ANALYSIS_PORT"] == "5000"
    assert environment["BAR_STORE_FOLDER"] == "bars"
    assert environment["HAMA_SCHEDULER_INTERVAL"] == "1"
    assert "HAMA_SYMBOLS" not in environment


def test_the_analysis_is_of_the_bars_of_the_simulated_feed() -> None:
    assert environment_of(UpOptions(), service="analysis")["HAMA_INTERVAL_SECONDS"] == "1"
    slow = {"FEED_INTERVAL_SECONDS": "60"}
    assert environment_of(UpOptions(), slow, "analysis")["HAMA_INTERVAL_SECONDS"] == "60"
    recorded = UpOptions(bars=Path("/b.csv"))
    assert "HAMA_INTERVAL_SECONDS" not in environment_of(recorded, service="analysis")
    assert int(environment_of(UpOptions())["FEED_HISTORY_BARS"]) >= 144
    assert "FEED_HISTORY_BARS" not in environment_of(UpOptions(), {"FEED_HISTORY_BARS": "9"})
    assert "FEED_HISTORY_BARS" not in environment_of(recorded)


def test_the_analysis_follows_the_instruments_and_the_seed_of_the_market() -> None:
    options = UpOptions(symbols=("AAPL.US", "700.HK"), seed=7)
    environment = environment_of(options, service="analysis")
    assert environment["HAMA_SYMBOLS"] == "AAPL.US,700.HK"
    assert environment["FEED_SEED"] == "7"


def test_a_person_s_own_choices_for_the_analysis_are_kept() -> None:
    given = {"ANALYSIS_HOST": "::", "BAR_STORE_FOLDER": "/bars", "HAMA_SCHEDULER_INTERVAL": "5"}
    assert not given.keys() & environment_of(UpOptions(), given, "analysis").keys()


def test_the_analysis_listens_where_its_variable_says_or_on_a_free_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def port(given: dict[str, str]) -> str:
        plan = factory.make_plan(UpOptions(), Folder(tmp_path), given)
        (program,) = (one for one in plan.services if one.name == "analysis")
        named = program.environment["ANALYSIS_PORT"]
        assert plan.analysis == f"http://localhost:{named}/api/gainer-analysis"
        return named

    assert port({"ANALYSIS_PORT": "45678"}) == "45678"
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        monkeypatch.setattr(config, "ANALYSIS_PORT", taken)
        assert port({}) != str(taken)


def test_the_page_is_for_this_machine_alone_unless_it_asks_for_a_token() -> None:
    def page(given: dict[str, str]) -> dict[str, str]:
        return environment_of(UpOptions(), given, "websocket-gateway")

    assert page({})["GATEWAY_HOST"] == "127.0.0.1"
    assert "GATEWAY_HOST" not in page({"GATEWAY_JWT_SECRET": "s" * 32})


def test_a_bus_in_memory_is_refused_because_processes_cannot_share_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="several"):
        factory.make_plan(UpOptions(), Folder(tmp_path), {"REDIS_URL": "memory://x"})


def test_a_wanted_port_that_is_taken_is_refused_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {taken} is taken"):
            factory.make_plan(UpOptions(port=taken), Folder(tmp_path), {})


def test_a_relay_tells_people_of_alerts_only_where_a_robot_is_named(tmp_path: Path) -> None:
    plan = factory.make_plan(UpOptions(), Folder(tmp_path), {})
    assert "alert-relay" not in [program.name for program in plan.services]
    given = {"DINGTALK_URL": "https://oapi.dingtalk.com/robot/send?access_token=x"}
    assert environment_of(UpOptions(), given, "alert-relay")["ALERT_RELAY_HOST"] == "127.0.0.1"
    given["ALERT_RELAY_TOKEN"] = "an-example-of-a-token"  # noqa: S105 - made up
    assert "ALERT_RELAY_HOST" not in environment_of(UpOptions(), given, "alert-relay")
