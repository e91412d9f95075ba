"""What the doctor decides from facts that no test could bring about on a real machine."""

import pytest

from streamdesk.console.application.doctor.ledger import LedgerFacts, check_ledger
from streamdesk.console.application.doctor.monitoring import (
    ProbeFacts,
    PrometheusFacts,
    RuleFacts,
    check_prometheus,
    check_relay,
)
from streamdesk.console.application.doctor.processes import ProcessFacts, check_processes
from streamdesk.console.application.doctor.redis import ServerFacts, check_server
from streamdesk.console.application.doctor.sentinels import (
    NodeFacts,
    SentinelFacts,
    check_sentinels,
)
from streamdesk.console.application.doctor.settings import check_settings
from streamdesk.console.application.doctor.topics import GroupFacts, TopicFacts, check_topics
from streamdesk.console.domain.finding import (
    CHECKS,
    Finding,
    Status,
    chosen,
    exit_code,
    merged,
)

GOOD = {
    "redis_version": "7.2.4",
    "role": "master",
    "aof_enabled": "1",
    "maxmemory_policy": "noeviction",
}


def server(
    info: dict[str, str] | None = None, *, clock: float = 0.0, clustered: bool = False
) -> dict[str, Finding]:
    facts = ServerFacts("here:6379", GOOD | (info or {}), clock, 0.01, clustered)
    return {finding.check: finding for finding in check_server(facts)}


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


@pytest.mark.parametrize(
    ("reported", "status"),
    [
        ({"redis_version": "7.0.0"}, Status.OK),
        ({"redis_version": "6.2.14"}, Status.FAILED),
        ({"redis_version": "7.2.4", "valkey_version": "8.0.1"}, Status.OK),
        ({"redis_version": "7.2.4", "valkey_version": "7.2.6"}, Status.FAILED),
        ({"redis_version": "a fork"}, Status.FAILED),
    ],
)
def test_the_floor_is_redis_7_0_and_valkey_8(reported: dict[str, str], status: Status) -> None:
    assert server(reported)["redis.version"].status is status


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("aof_last_write_status", "last write of the append-only file failed"),
        ("aof_last_bgrewrite_status", "last rewrite of the append-only file failed"),
        ("rdb_last_bgsave_status", "last snapshot (RDB) failed"),
    ],
)
def test_whatever_was_not_written_to_disk_is_named(name: str, says: str) -> None:
    found = server({name: "err"})["redis.persistence"]
    assert (found.status, says in found.found) == (Status.FAILED, True)


@pytest.mark.parametrize(
    ("seconds", "status", "says"),
    [
        (0.4, Status.OK, "within 1 s"),
        (-5.0, Status.WARNING, "5.0 s behind"),
        (90.0, Status.FAILED, "90.0 s ahead of"),
    ],
)
def test_a_clock_that_is_wrong_is_said_to_be_ahead_or_behind(
    seconds: float, status: Status, says: str
) -> None:
    found = server(clock=seconds)["redis.clock"]
    assert (found.status, says in found.found) == (status, True)


@pytest.mark.parametrize(
    ("used", "limit", "clustered", "status"),
    [
        ("900", "0", False, Status.OK),
        ("900", "0", True, Status.WARNING),
        ("800", "1000", True, Status.OK),
        ("900", "1000", False, Status.WARNING),
        ("1000", "1000", False, Status.FAILED),
    ],
)
def test_memory_has_a_limit_in_a_cluster_and_room_below_it(
    used: str, limit: str, clustered: bool, status: Status
) -> None:
    found = server({"used_memory": used, "maxmemory": limit}, clustered=clustered)["redis.memory"]
    assert found.status is status


def test_a_replica_and_a_server_that_still_loads_are_no_place_to_write_to() -> None:
    found = server({"role": "slave", "master_host": "there", "master_port": "1", "loading": "1"})
    assert found["redis.role"].status is Status.FAILED
    assert "replica of there:1" in found["redis.role"].found
    assert "loading" in found["redis.server"].found


def sentinel(number: int, master: str = "a:1", ckquorum: str = "OK 3 usable") -> SentinelFacts:
    return SentinelFacts(f"s{number}:1", "", master, frozenset({"master"}), 2, 2, ckquorum)


def node(at: str, role: str = "slave", *, link_up: bool = True, good: int = 1) -> NodeFacts:
    return NodeFacts(at, "", role, "a:1", link_up, at, good)


def test_sentinels_that_name_two_masters_are_a_fault() -> None:
    said = [sentinel(1), sentinel(2), sentinel(3, "b:1")]
    nodes = [node("a:1", "master"), node("b:1", "master"), node("c:1")]
    found = by_name(check_sentinels(said, nodes))["sentinels.master"]
    assert found.status is Status.FAILED
    assert "the Sentinels name different masters: a:1, b:1" in found.found
    assert "2 servers say that they are the master" in found.found


def test_a_master_that_says_that_it_is_none_is_a_fault() -> None:
    found = by_name(check_sentinels([sentinel(1)], [node("a:1"), node("c:1")]))
    assert "a:1 is named and says that it is a slave" in found["sentinels.master"].found


def test_a_missing_quorum_is_a_fault_and_a_silent_sentinel_a_warning() -> None:
    nodes = [node("a:1", "master"), node("c:1")]
    lost = "NOQUORUM 1 usable Sentinels"
    assert (
        by_name(check_sentinels([sentinel(1, ckquorum=lost)], nodes))["sentinels.quorum"].status
        is Status.FAILED
    )
    silent = SentinelFacts("s2:1", error="cannot be reached")
    found = by_name(check_sentinels([sentinel(1), silent], nodes))["sentinels.quorum"]
    assert (found.status, "s2:1: cannot be reached" in found.found) == (Status.WARNING, True)


def test_without_a_replica_that_follows_none_could_be_promoted() -> None:
    nodes = [node("a:1", "master"), node("c:1", link_up=False)]
    found = by_name(check_sentinels([sentinel(1)], nodes))["sentinels.replicas"]
    assert found.status is Status.FAILED
    assert "c:1 has no connection to its master" in found.found
    assert "there is none to promote" in found.found


def group(**reported: object) -> GroupFacts:
    usual = {"topic": "signals", "group": "executors", "service": "order-executor"}
    return GroupFacts(**(usual | {"streams": 2, "active": 1} | reported))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("check", "facts", "status", "says"),
    [
        ("lag", group(waiting=1_001), Status.WARNING, "1,001 wait"),
        ("lag", group(waiting=90, pending=10, limit=100), Status.FAILED, "publishes are refused"),
        ("lag", group(waiting=80, limit=100), Status.WARNING, "the queue takes 100"),
        ("lag", group(waiting=1_000), Status.OK, "executors on signals: 1,000"),
        ("pending", group(pending=101), Status.WARNING, "101 pending"),
        ("pending", group(oldest_seconds=400.0), Status.WARNING, "400 s old"),
        ("consumers", group(active=0, waiting=3), Status.FAILED, "no consumer that is alive"),
        ("groups", group(without=("s:90",)), Status.FAILED, "is lost on s:90"),
        ("groups", group(streams=0), Status.WARNING, "was never there"),
    ],
)
def test_a_group_that_does_not_keep_up_is_named_with_its_figure(
    check: str, facts: GroupFacts, status: Status, says: str
) -> None:
    found = by_name(check_topics([], [facts]))[f"topics.{check}"]
    assert (found.status, says in found.found) == (status, True)
    assert status is Status.OK or found.advice


@pytest.mark.parametrize(
    ("length", "status"),
    [(50_000, Status.OK), (50_001, Status.WARNING), (1_000_000, Status.FAILED)],
)
def test_a_stream_near_its_cap_is_reported_before_publishes_are_refused(
    length: int, status: Status
) -> None:
    facts = TopicFacts("bars", 0, "market:bars", length, 1_000_000)
    assert by_name(check_topics([facts], []))["topics.length"].status is status


def test_processes_of_two_versions_are_distinguished() -> None:
    facts = [ProcessFacts("a", ready=True, version="1"), ProcessFacts("b", version="2")]
    found = by_name(check_processes(facts))["services.versions"]
    assert (found.status, found.found) == (Status.WARNING, "1: a; 2: b")


def test_what_stops_trading_is_said_of_the_executor_alone() -> None:
    facts = [
        ProcessFacts("gateway", ready=True),
        ProcessFacts("executor", ready=True, blocked=True, halted=True, discrepancies=2),
    ]
    found = by_name(check_processes(facts))["services.trading"]
    assert found.status is Status.FAILED
    for says in ("decides no signal", "kill switch is on", "2 figures that contradict"):
        assert says in found.found


def test_a_process_that_is_not_ready_or_was_restarted_or_has_another_time_is_named() -> None:
    facts = ProcessFacts(
        "filter", ready=False, not_because=("bus",), restarts=3, log="f.log", clock_seconds=-9.0
    )
    found = by_name(check_processes([facts]))
    assert found["services.ready"].found == "filter is not ready (bus)"
    assert "read f.log" in found["services.restarts"].advice
    assert "9 s behind" in found["services.clocks"].found


@pytest.mark.parametrize(
    ("facts", "check", "status", "says"),
    [
        (LedgerFacts(step=None, newest="2"), "tables", Status.FAILED, "no ledger's tables"),
        (LedgerFacts(step="1", newest="2"), "tables", Status.WARNING, "step 1"),
        (LedgerFacts(step="3", newest="2", known=False), "tables", Status.FAILED, "unknown to"),
        (
            LedgerFacts(step="2", newest="2", halted_since="noon", reason="odd"),
            "kill-switch",
            Status.WARNING,
            "halted since noon: odd",
        ),
        (
            LedgerFacts(step="2", newest="2", contradictions=("ORDER_FORGOTTEN sd-1 A.US",)),
            "contradictions",
            Status.FAILED,
            "sd-1 A.US",
        ),
        (
            LedgerFacts(step="2", newest="2", external_trades=("t-1: BUY 10 A.US",)),
            "external-trades",
            Status.WARNING,
            "t-1: BUY",
        ),
        (LedgerFacts(step="2", newest="2"), "external-trades", Status.OK, "or settled"),
        (LedgerFacts(step="2", newest="2"), "contradictions", Status.OK, "the broker knows"),
        (LedgerFacts(step="1", newest="2"), "contradictions", Status.NOT_APPLICABLE, "not this"),
    ],
)
def test_a_ledger_is_as_new_as_this_version_and_not_halted(
    facts: LedgerFacts, check: str, status: Status, says: str
) -> None:
    found = by_name(check_ledger(facts))[f"ledger.{check}"]
    assert (found.status, says in found.found) == (status, True)


@pytest.mark.parametrize(
    ("fetcher", "status"),
    [
        ({}, Status.NOT_APPLICABLE),
        ({"NEWS_SOURCE": "eodhd"}, Status.FAILED),
        ({"NEWS_SOURCE": "eodhd", "EODHD_API_KEY": "hush-hush"}, Status.OK),
    ],
)
def test_news_of_eodhd_need_a_key(fetcher: dict[str, str], status: Status) -> None:
    found = by_name(check_settings(fetcher, {}))["settings.news-key"]
    assert (found.status, "hush" in found.found) == (status, False)


@pytest.mark.parametrize(
    ("gateway", "status"),
    [
        ({}, Status.NOT_APPLICABLE),
        ({"GATEWAY_PORT": "tcp://10.0.0.1:8080"}, Status.NOT_APPLICABLE),
        ({"GATEWAY_PORT": "8080"}, Status.WARNING),
        ({"GATEWAY_HOST": "127.0.0.1"}, Status.OK),
        ({"GATEWAY_JWT_SECRET": "hush"}, Status.FAILED),
        ({"GATEWAY_JWT_SECRET": "hush" * 8}, Status.OK),
    ],
)
def test_a_page_for_others_than_this_machine_needs_a_secret(
    gateway: dict[str, str], status: Status
) -> None:
    found = by_name(check_settings({}, gateway))["settings.gateway-secret"]
    assert (found.status, "hush" in found.found) == (status, False)


def test_critical_alerts_that_fire_are_a_failure_and_those_of_others_are_ignored() -> None:
    rules = (
        RuleFacts("redis", "RedisUnreachable", firing=True, severity="critical"),
        RuleFacts("theirs", "Watchdog", firing=True, severity="critical"),
        RuleFacts("news", "NewsQuota", error="unknown function"),
    )
    facts = PrometheusFacts(groups=frozenset({"redis", "news"}), rules=rules)
    found = by_name(check_prometheus(facts))
    assert found["monitoring.alerts"].found == "critical: RedisUnreachable"
    assert "missing: alert-relay, gateway, operator" in found["monitoring.rules"].found
    assert "NewsQuota: unknown function" in found["monitoring.rules"].found
    assert "scrapes nothing" in found["monitoring.targets"].found


@pytest.mark.parametrize(
    ("probe", "webhook", "status"),
    [
        (None, None, Status.NOT_APPLICABLE),
        (ProbeFacts(200), None, Status.OK),
        (ProbeFacts(404), ProbeFacts(405), Status.OK),
        (ProbeFacts(404), ProbeFacts(404), Status.FAILED),
        (ProbeFacts(503, not_because=("bus",)), None, Status.FAILED),
        (ProbeFacts(error="does not answer"), None, Status.FAILED),
    ],
)
def test_the_relay_is_well_at_its_probes_and_at_its_webhook(
    probe: ProbeFacts | None, webhook: ProbeFacts | None, status: Status
) -> None:
    assert check_relay(probe, webhook).status is status


def test_several_problems_of_a_check_are_one_row_as_bad_as_the_worst() -> None:
    rows = [Finding("x.y", Status.WARNING, "a", "b"), Finding("x.y", Status.FAILED, "c", "b")]
    assert merged("x.y", rows, "well") == Finding("x.y", Status.FAILED, "a\nc", "b")


@pytest.mark.parametrize(
    ("statuses", "strict", "code"),
    [
        ([], False, 0),
        ([Status.NOT_APPLICABLE, Status.OK], True, 0),
        ([Status.WARNING], False, 0),
        ([Status.WARNING], True, 3),
        ([Status.WARNING, Status.FAILED], True, 1),
    ],
)
def test_the_exit_code_is_that_of_the_worst_check(
    statuses: list[Status], strict: bool, code: int
) -> None:
    assert exit_code([Finding("a.b", one, "") for one in statuses], strict=strict) == code


def test_checks_are_chosen_by_area_or_by_name() -> None:
    assert len(chosen([])) == sum(map(len, CHECKS.values()))
    assert chosen(["ledger", "redis.clock"])[0] == "redis.clock"
    assert len(chosen(["ledger", "redis.clock"])) == 1 + len(CHECKS["ledger"])
    with pytest.raises(ValueError, match=r"'redis\.klock'; redis has server"):
        chosen(["redis.klock"])
