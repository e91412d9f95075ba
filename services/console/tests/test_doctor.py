"""`streamdesk doctor` on real servers: each wrong thing is found, named, and has its remedy."""

import asyncio
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from streamdesk.bus import Bus, BusConfig, Message
from streamdesk.bus.topic_keys import keys_of
from streamdesk.console.__main__ import run
from streamdesk.contracts.base import Topic
from tests.servers import SentinelCluster, StreamServer, free_port, wait_until

Capture = pytest.CaptureFixture[str]
Doctor = Callable[..., tuple[int, dict[str, dict[str, str]]]]
LONG_TIMEOUT = ("--timeout", "60")
"""A slow machine is not what these tests are about."""

ADDRESSES = ("PROMETHEUS_URL", "ALERTMANAGER_URL", "ALERT_RELAY_URL")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("REDIS_URL", "REDIS_HOST", "LEDGER_URL", "NEWS_SOURCE", *ADDRESSES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def doctor(capsys: Capture) -> Doctor:
    """`doctor("--only", "redis")`: the exit code, and the findings by name."""

    def look(*words: str) -> tuple[int, dict[str, dict[str, str]]]:
        capsys.readouterr()
        code = run(["doctor", "--json", *LONG_TIMEOUT, *words])
        findings = json.loads(capsys.readouterr().out)
        return code, {row["check"]: row for row in findings["checks"]}

    return look


@pytest.fixture
def server(start_server: Callable[..., StreamServer]) -> Iterator[StreamServer]:
    """A server of the test's own."""
    server = start_server()
    yield server
    server.thaw()


def statuses(found: dict[str, dict[str, str]]) -> set[str]:
    return {row["status"] for row in found.values()}


def test_a_healthy_server_is_well(doctor: Doctor, valkey_url: str) -> None:
    code, found = doctor("--url", valkey_url, "--only", "redis,sentinels")
    assert code == 0
    assert statuses(found) == {"ok", "not applicable"}
    assert len(found) == 10


def test_debians_redis_is_well_too(doctor: Doctor, redis_url: str) -> None:
    code, found = doctor("--url", redis_url, "--only", "redis")
    assert (code, statuses(found)) == (0, {"ok"})
    assert found["redis.version"]["found"].startswith("Redis 7.")


@pytest.mark.parametrize(
    ("setting", "check", "found", "advice"),
    [
        (
            ("maxmemory-policy", "allkeys-lru"),
            "redis.eviction",
            "allkeys-lru: short of memory, the server deletes whole streams",
            "CONFIG SET maxmemory-policy noeviction",
        ),
        (
            ("appendonly", "no"),
            "redis.persistence",
            "the append-only file is off: a restart loses events",
            "CONFIG SET appendonly yes",
        ),
        (("maxmemory", "1"), "redis.memory", "publishes are refused", "raise maxmemory"),
    ],
)
def test_a_setting_that_would_lose_events_is_found_with_what_to_do(
    doctor: Doctor,
    server: StreamServer,
    setting: tuple[str, str],
    check: str,
    found: str,
    advice: str,
) -> None:
    server.ask("CONFIG", "SET", *setting)
    code, findings = doctor("--url", server.url, "--only", "redis")
    assert code == 1
    assert findings[check]["status"] == "failed"
    assert found in findings[check]["found"]
    assert advice in findings[check]["advice"]
    assert {name for name, row in findings.items() if row["status"] != "ok"} == {check}


def test_a_server_that_hangs_is_reported_and_delays_no_check(
    doctor: Doctor, server: StreamServer
) -> None:
    server.freeze()
    code, findings = doctor("--url", server.url)
    assert code == 1
    assert "takes connections and does not answer" in findings["redis.server"]["found"]
    for name in ("redis.eviction", "topics.lag"):
        assert findings[name]["status"] == "failed"
        assert findings[name]["found"] == "cannot be checked: the server does not answer"
    assert findings["settings.news-key"]["status"] == "not applicable"


def test_an_address_without_a_server_is_reported(doctor: Doctor) -> None:
    code, findings = doctor("--url", f"redis://127.0.0.1:{free_port()}/0", "--only", "redis.server")
    assert code == 1
    assert "cannot be reached" in findings["redis.server"]["found"]


def test_a_replica_is_no_server_to_write_to(
    doctor: Doctor, server: StreamServer, valkey_url: str
) -> None:
    host, port = valkey_url.removeprefix("redis://").removesuffix("/0").split(":")
    server.ask("REPLICAOF", host, port)
    code, findings = doctor("--url", server.url, "--only", "redis.role")
    assert code == 1
    assert f"a replica of {host}:{port}" in findings["redis.role"]["found"]


def test_a_refused_login_is_reported_without_its_password(
    doctor: Doctor, server: StreamServer, capsys: Capture
) -> None:
    server.ask("CONFIG", "SET", "requirepass", "right-one")
    url = server.url.replace("://", "://:wrong-one@")
    code, findings = doctor("--url", url, "--only", "redis,topics")
    assert code == 1
    assert "refuses the login" in findings["redis.server"]["found"]
    assert "wrong-one" not in json.dumps(findings)
    assert run(["doctor", "--url", url, "--only", "redis", *LONG_TIMEOUT]) == 1
    assert "wrong-one" not in capsys.readouterr().out


def test_what_a_user_may_not_ask_is_reported(doctor: Doctor, server: StreamServer) -> None:
    server.ask("ACL", "SETUSER", "blind", "on", ">pw", "+time", "+ping")
    url = server.url.replace("://", "://blind:pw@")
    _, findings = doctor("--url", url, "--only", "redis,topics")
    assert "NOPERM" in findings["redis.server"]["found"]
    assert "NOPERM" in findings["topics.lag"]["found"]


def test_topics_that_a_user_may_not_read_are_named_and_hide_no_other(
    doctor: Doctor, server: StreamServer, topics: dict[str, Topic[Any]]
) -> None:
    signals = topics["signals"]
    keys = (f"~{signals.key}*", f"~{{{signals.key}}}*")
    server.ask("ACL", "SETUSER", "narrow", "on", ">pw", "+@all", *keys)
    server.ask("XADD", signals.dead_key, "*", "b", "anything")
    url = server.url.replace("://", "://narrow:pw@")
    code, findings = doctor("--url", url, "--only", "topics.dead-letters")
    found = findings["topics.dead-letters"]["found"]
    assert code == 1
    assert "signals: 1\ncannot be checked: bars, bars_handled, analysis, orders," in found
    assert found.count("NOPERM") <= 2


async def consume_once(url: str, topic: Topic[Any]) -> None:
    """Have the topic's group made by a consumer that ends again."""

    async def take(_message: Message[Any]) -> None:
        return

    stop = asyncio.Event()
    async with Bus.connect(BusConfig(url=url, service="test", instance="one")) as bus:
        subscription = bus.subscribe(topic, topic.groups[0], take)
        running = asyncio.create_task(subscription.run(stop))
        async with asyncio.timeout(60):
            while (await bus.group_lag(topic, topic.groups[0])).active_consumers == 0:
                await asyncio.sleep(0.05)
        stop.set()
        await running


def test_a_group_without_a_consumer_is_reported(
    doctor: Doctor, server: StreamServer, topics: dict[str, Topic[Any]]
) -> None:
    for stream in keys_of(topics["signals"]).streams:
        server.ask("XGROUP", "CREATE", stream, "order-executors", "0", "MKSTREAM")
    code, findings = doctor("--url", server.url, "--only", "topics")
    assert code == 1
    assert "order-executors on signals has no consumer" in findings["topics.consumers"]["found"]
    assert "start order-executor" in findings["topics.consumers"]["advice"]
    assert findings["topics.groups"]["status"] == "warning"
    assert "news-filter-group on news_raw was never there" in findings["topics.groups"]["found"]


def test_a_lost_group_is_named_with_its_stream(
    doctor: Doctor, server: StreamServer, topics: dict[str, Topic[Any]]
) -> None:
    asyncio.run(consume_once(server.url, topics["signals"]))
    lost = keys_of(topics["signals"]).streams[3]
    server.ask("XGROUP", "DESTROY", lost, "order-executors")
    code, findings = doctor("--url", server.url, "--only", "topics.groups")
    assert code == 1
    assert f"order-executors on signals is lost on {lost}" in findings["topics.groups"]["found"]
    assert "order-executor" in findings["topics.groups"]["advice"]


def test_a_dead_letter_is_a_warning_that_says_how_to_see_it(
    doctor: Doctor, server: StreamServer, topics: dict[str, Topic[Any]]
) -> None:
    server.ask("XADD", topics["signals"].dead_key, "*", "b", "anything")
    words = ("--url", server.url, "--only", "topics.dead-letters")
    code, findings = doctor(*words)
    assert code == 0
    assert findings["topics.dead-letters"]["found"] == "signals: 1"
    assert "streamdesk bus dead list --topic signals" in findings["topics.dead-letters"]["advice"]
    assert doctor(*words, "--strict")[0] == 3


def test_sentinels_that_agree_are_well_but_for_a_minimum_of_replicas(
    doctor: Doctor, sentinel: SentinelCluster
) -> None:
    words = ("--url", sentinel.url, "--only", "sentinels,redis.memory,redis.role")
    code, findings = doctor(*words)
    assert code == 0
    assert findings["sentinels.quorum"]["found"] == "3 of 3 Sentinels answer, quorum 2"
    assert findings["sentinels.master"]["status"] == "ok"
    assert "min-replicas-to-write is not set" in findings["sentinels.replicas"]["found"]
    assert "no limit" in findings["redis.memory"]["found"]
    for node in sentinel.nodes:
        node.ask("CONFIG", "SET", "min-replicas-to-write", "1")
    replica = next(node for node in sentinel.nodes if node is not sentinel.master())
    replica.kill()
    sentinel.sentinels[0].stop()
    code, findings = doctor(*words)
    assert code == 0
    assert "Sentinel 127.0.0.1:" in findings["sentinels.quorum"]["found"]
    assert findings["sentinels.quorum"]["status"] == "warning"
    assert f"127.0.0.1:{replica.port} cannot be reached" in findings["sentinels.replicas"]["found"]
    assert findings["sentinels.replicas"]["status"] == "warning"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "no desk runs in"),
        (("--url", "memory://x"), "memory:// lives inside one process"),
        (("--url", "http://x"), "bus url has scheme 'http'"),
        (("--url", "redis://x", "--only", "rediss"), "--only is 'rediss'; there are redis,"),
        (("--url", "redis://x", "--service", "x:9464"), "--service is no address"),
        (("--colour",), "No such option"),
    ],
)
def test_a_wrong_call_is_explained_in_one_line_and_has_exit_code_2(
    words: Sequence[str], says: str, capsys: Capture
) -> None:
    assert run(["doctor", *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


PAGE = """
# TYPE streamdesk_info gauge
streamdesk_info{instance="a",service="order-executor",version="0.1.0"} 1.0
# TYPE trading_blocked gauge
trading_blocked 1.0
# TYPE trading_halted gauge
trading_halted 0.0
"""
READYZ = {"ready": False, "checks": {"redis": True, "trading open": False}}


class Probes(http.server.BaseHTTPRequestHandler):
    """An executor that is not well."""

    def do_GET(self) -> None:
        metrics = self.path == "/metrics"
        body = (PAGE if metrics else json.dumps(READYZ)).encode()
        self.send_response(200 if metrics else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def probes() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Probes) as http_server:
        thread = threading.Thread(target=http_server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http_server.server_port}"
        http_server.shutdown()
        thread.join()


def test_a_service_that_is_named_is_asked_over_its_probes(
    doctor: Doctor, valkey_url: str, probes: str
) -> None:
    unused = f"http://127.0.0.1:{free_port()}"
    words = ("--url", valkey_url, "--service", probes, "--service", unused, "--only", "services")
    code, findings = doctor(*words)
    assert code == 1
    assert "is not ready (trading open)" in findings["services.ready"]["found"]
    assert "cannot be reached" in findings["services.ready"]["found"]
    assert "decides no signal" in findings["services.trading"]["found"]
    assert findings["services.versions"]["found"] == "all are 0.1.0"
    assert findings["services.clocks"]["status"] == "ok"


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("PROMETHEUS_URL", "prometheus"),
        ("ALERTMANAGER_URL", "alertmanager"),
        ("ALERT_RELAY_URL", "relay"),
    ],
)
def test_a_monitoring_address_without_a_server_is_reported(
    doctor: Doctor, valkey_url: str, name: str, check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f"http://me:my-password@127.0.0.1:{free_port()}")
    code, findings = doctor("--url", valkey_url, "--only", "monitoring")
    assert code == 1
    assert "cannot be reached" in findings[f"monitoring.{check}"]["found"]
    assert name in findings[f"monitoring.{check}"]["advice"]
    assert "my-password" not in json.dumps(findings)


def test_a_real_alertmanager_is_well_and_another_program_is_no_relay(
    doctor: Doctor, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.skip("no Alertmanager here (Debian: the package prometheus-alertmanager)")
    config, port = tmp_path / "alertmanager.yml", free_port()
    config.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    address = f"http://127.0.0.1:{port}"
    words = [
        *(program, f"--config.file={config}", f"--storage.path={tmp_path}"),
        *(f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="),
    ]
    monkeypatch.setenv("ALERTMANAGER_URL", address)
    monkeypatch.setenv("ALERT_RELAY_URL", address)
    only = ("--url", valkey_url, "--only", "monitoring.alertmanager,monitoring.relay")
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: _well(doctor(*only)), "the Alertmanager is ready")
            code, findings = doctor(*only)
        finally:
            process.terminate()
    assert code == 1
    assert findings["monitoring.relay"]["found"] == "answers with HTTP 404"


def _well(answer: tuple[int, dict[str, dict[str, str]]]) -> bool:
    return answer[1]["monitoring.alertmanager"]["status"] == "ok"


def test_a_ledger_that_is_not_there_is_reported_and_not_created(
    doctor: Doctor, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ledger.db"
    monkeypatch.setenv("LEDGER_URL", f"sqlite:///{file}")
    code, findings = doctor("--url", valkey_url, "--only", "ledger")
    assert code == 1
    assert findings["ledger.database"]["found"] == f"there is no file {file}"
    assert not file.exists()


def test_a_ledgers_step_and_its_kill_switch_are_reported(
    doctor: Doctor, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    monkeypatch.setenv("PAPER_BROKER_URL", f"sqlite:///{tmp_path / 'paper.db'}")
    assert run(["trading", "halt", "--reason", "odd prices"]) == 0
    code, findings = doctor("--url", valkey_url, "--only", "ledger")
    assert code == 0
    assert findings["ledger.tables"]["status"] == "ok"
    assert findings["ledger.kill-switch"]["status"] == "warning"
    assert "odd prices" in findings["ledger.kill-switch"]["found"]
    assert "streamdesk trading resume" in findings["ledger.kill-switch"]["advice"]


def test_a_table_for_a_person_has_every_check_and_what_to_do(
    server: StreamServer, capsys: Capture
) -> None:
    server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    assert run(["doctor", "--url", server.url, "--only", "redis", *LONG_TIMEOUT]) == 1
    out = capsys.readouterr().out
    rows = [line.split()[:2] for line in out.splitlines()]
    assert ["eviction", "failed"] in rows
    assert ["clock", "ok"] in rows
    assert "→ CONFIG SET maxmemory-policy noeviction" in out
    assert "6 ok, 1 failed" in out
