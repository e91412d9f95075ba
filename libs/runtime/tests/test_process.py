import json
import signal
from collections.abc import Callable
from typing import Any

IDLE = """
@asynccontextmanager
async def build(settings, service):
    service.ready_when("redis", lambda: True)
    yield [ServiceTask("idle", wait)]
    log.info("closed")
"""
Start = Callable[..., Any]
Get = Callable[[int, str], tuple[int, str]]


def test_a_running_service_answers_its_probes_and_shows_its_metrics(start: Start, get: Get) -> None:
    port = start(IDLE, INSTANCE="tiny-7").line("started")["probe_port"]
    assert get(port, "/livez") == (200, '{"alive":true,"crashed":null}')
    status, body = get(port, "/readyz")
    assert (status, json.loads(body)) == (
        200,
        {"ready": True, "started": True, "draining": False, "checks": {"redis": True}},
    )
    status, body = get(port, "/metrics")
    assert status == 200
    assert "streamdesk_ready 1.0" in body
    assert 'streamdesk_info{instance="tiny-7",service="tiny",version="unknown"} 1.0' in body


def test_a_check_that_says_no_or_raises_makes_the_service_unready(start: Start, get: Get) -> None:
    service = start("""
        @asynccontextmanager
        async def build(settings, service):
            service.ready_when("ledger", lambda: False)
            service.ready_when("broker", lambda: 1 / 0)
            yield [ServiceTask("idle", wait)]
    """)
    port = service.line("started")["probe_port"]
    status, body = get(port, "/readyz")
    assert status == 503
    assert json.loads(body)["checks"] == {
        "ledger": False,
        "broker": "ZeroDivisionError('division by zero')",
    }
    assert get(port, "/livez")[0] == 200


def test_sigterm_makes_the_service_unready_then_drains_then_closes(start: Start, get: Get) -> None:
    service = start("""
        @asynccontextmanager
        async def build(settings, service):
            async def work(drain):
                await drain.requested.wait()
                log.info("draining")
                await until_released()
                log.info("drained")
            yield [ServiceTask("work", work)]
            log.info("closed")
    """)
    port = service.line("started")["probe_port"]
    service.process.send_signal(signal.SIGTERM)
    assert service.line("stopping")["signal"] == "SIGTERM"
    service.line("draining")
    status, body = get(port, "/readyz")
    assert (status, json.loads(body)["draining"]) == (503, True)
    assert get(port, "/livez")[0] == 200
    service.release()
    lines, err = service.end()
    assert [line["event"] for line in lines] == ["drained", "closed", "stopped"]
    assert (service.process.returncode, err) == (0, "")


def test_sigint_stops_like_sigterm(start: Start) -> None:
    service = start(IDLE)
    service.line("started")
    service.process.send_signal(signal.SIGINT)
    lines, _ = service.end()
    assert [line["event"] for line in lines] == ["stopping", "closed", "stopped"]
    assert service.process.returncode == 0


def test_a_work_that_does_not_drain_is_cancelled_within_the_grace_period(start: Start) -> None:
    service = start(
        """
        @asynccontextmanager
        async def build(settings, service):
            async def stubborn(drain):
                await asyncio.sleep(3600)
            yield [ServiceTask("stubborn", stubborn), ServiceTask("idle", wait)]
        """,
        GRACE_SECONDS="0.5",
    )
    service.line("started")
    service.process.send_signal(signal.SIGTERM)
    assert service.line("task cancelled: it did not drain in time")["task"] == "stubborn"
    service.end()


def test_a_second_interrupt_does_not_wait_for_the_drain(start: Start) -> None:
    service = start(
        """
        @asynccontextmanager
        async def build(settings, service):
            async def stubborn(drain):
                await asyncio.sleep(3600)
            yield [ServiceTask("stubborn", stubborn)]
        """,
        GRACE_SECONDS="3600",
    )
    service.line("started")
    service.process.send_signal(signal.SIGINT)
    service.line("stopping")
    service.process.send_signal(signal.SIGINT)
    service.line("stopped")
    service.end()
    assert service.process.returncode == 0


def test_closing_is_cut_at_the_end_of_the_grace_period(start: Start) -> None:
    service = start(
        """
        @asynccontextmanager
        async def build(settings, service):
            yield [ServiceTask("idle", wait)]
            await asyncio.sleep(3600)
        """,
        GRACE_SECONDS="0.2",
    )
    service.line("started")
    service.process.send_signal(signal.SIGTERM)
    assert service.line("not closed in time")["grace_seconds"] == 0.2
    service.end()
    assert service.process.returncode == 1


def test_a_work_that_crashes_ends_the_process_with_one_logged_error(start: Start, get: Get) -> None:
    service = start("""
        @asynccontextmanager
        async def build(settings, service):
            async def crash(drain):
                raise RuntimeError("no more bars")
            async def other(drain):
                await drain.requested.wait()
                await until_released()
                log.info("other drained")
            yield [ServiceTask("feed", crash), ServiceTask("other", other)]
            log.info("closed")
    """)
    port = service.line("started")["probe_port"]
    crash = service.line("task crashed")
    assert (crash["level"], crash["task"]) == ("error", "feed")
    assert "RuntimeError: no more bars" in crash["exception"]
    assert get(port, "/livez") == (503, '{"alive":false,"crashed":"feed"}')
    service.release()
    lines, err = service.end()
    assert [line["event"] for line in lines] == ["other drained", "closed"]
    assert (service.process.returncode, err) == (1, "")


def test_a_start_that_fails_is_one_logged_error(start: Start) -> None:
    service = start("""
        @asynccontextmanager
        async def build(settings, service):
            raise OSError("the ledger cannot be opened")
            yield []
    """)
    lines, err = service.end()
    assert [(line["level"], line["event"]) for line in lines] == [("error", "start failed")]
    assert "the ledger cannot be opened" in lines[0]["exception"]
    assert (service.process.returncode, err) == (1, "")


def test_sigterm_ends_a_service_that_has_not_started_yet(start: Start) -> None:
    service = start("""
        @asynccontextmanager
        async def build(settings, service):
            log.info("waiting for the broker")
            await asyncio.sleep(3600)
            yield []
    """)
    service.line("waiting for the broker")
    service.process.send_signal(signal.SIGTERM)
    lines, _ = service.end()
    assert lines[-1]["event"] == "stopped before it had started"
    assert service.process.returncode == 0


def test_a_service_whose_works_are_all_done_ends_well(start: Start) -> None:
    service = start("""
        @asynccontextmanager
        async def build(settings, service):
            async def once(drain):
                log.info("done")
            yield [ServiceTask("once", once)]
            log.info("closed")
    """)
    lines, _ = service.end()
    assert [line["event"] for line in lines] == ["started", "done", "closed", "stopped"]
    assert service.process.returncode == 0


def test_an_application_of_the_service_closes_with_the_drain(start: Start, get: Get) -> None:
    service = start("""
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route

        @asynccontextmanager
        async def build(settings, service):
            async def page(request):
                return PlainTextResponse("the page")
            listener = listen("127.0.0.1", 0, "GATEWAY_PORT")
            log.info("listening", port=listener.getsockname()[1])
            app = Starlette(routes=[Route("/", page)])
            yield [ServiceTask("http", lambda drain: serve_http(app, listener, drain))]
    """)
    port = service.line("listening")["port"]
    service.line("started")
    assert get(port, "/") == (200, "the page")
    service.process.send_signal(signal.SIGTERM)
    lines, err = service.end()
    assert [line["event"] for line in lines] == ["stopping", "stopped"]
    assert (service.process.returncode, err) == (0, "")
